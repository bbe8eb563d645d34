-- How a run ended is its result; an outcome is a later fact about it. The view `runs` names no columns and follows.
ALTER TABLE run_lanes RENAME COLUMN outcome TO result;
ALTER TABLE run_days RENAME COLUMN outcome TO result;
