"""What a run holds, for other programs: tidy tables, MLflow's runs and Inspect's logs.

`columns` says what stands in each table and what it means; `tables` takes it out of the journal. Everything else is a
way to hand a run over: `files` as CSV, JSON lines and Parquet, `frames` as polars' and pandas' frames, `tracking` to
MLflow, `inspection` as logs of Inspect.
"""
