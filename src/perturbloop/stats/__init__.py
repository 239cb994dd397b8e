"""Statistics on arrays: shifts of embeddings, nulls, multiple testing, intervals.

Arrays in, arrays out; nothing here knows files, tables of a campaign, or torch. Axes: n cells, g genes,
d embedding, s states. Missing values (NaN) mean "not scored"; every function says what it does with them, and
none turns a missing value into a number. Random numbers come in as `rng`.
"""
