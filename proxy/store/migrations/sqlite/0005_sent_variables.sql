-- The names of the variables that a call brought along, as a JSON array; null: not known, also of runs that were recorded before.
ALTER TABLE run_lanes ADD COLUMN sent_variables TEXT;
