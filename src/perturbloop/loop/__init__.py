"""The loop itself: a campaign folder, and the steps that turn what is recorded into a ranking.

A campaign is a folder: `campaign.toml` (one section per step), `campaign.sqlite` (the ledger), `perturbed/` (measured
effects of each recorded file), `models/`, `shifts/` and `de/` (named by hashes, shared by rounds) and `rounds/000/…` with
`ranking.parquet`, `predictions.parquet`, `metrics.parquet`, `scores.json`, `proposals.parquet` and `report.html`.
A step is done again only when its key, the hash of its config, inputs and the keys before it, has changed.
"""
