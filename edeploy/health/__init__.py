"""Is every machine as good as its peers, and if not, why: measurements, judgement, reports."""
