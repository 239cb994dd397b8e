"""Tables of screens as tools write them: one file a tool, what each holds, and the choices a file leaves open.

`FORMATS` is the list of tools that are told by their columns; a table of none of them is read by the names that score, p-value and
false discovery rate usually have (`plain`). Whatever the tool, out comes one row a gene: `label`, `score` as in the file, `se`,
`pvalue` (two-sided), `padj`, `n_reagents`.
"""

from perturbloop.data.screen_formats import bagel, drugz, mageck_mle, mageck_rra, zfc
from perturbloop.data.screen_formats.base import Format

FORMATS: tuple[Format, ...] = (mageck_rra.FORMAT, mageck_mle.FORMAT, drugz.FORMAT, bagel.FORMAT, zfc.FORMAT)
"""Tools that are told by their columns."""
