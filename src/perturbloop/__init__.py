"""perturbloop: close the loop between in-silico and real perturbations of single cells."""
