"""The probe engine: filters on tables, messages summed over edges."""
