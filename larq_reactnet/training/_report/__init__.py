"""The parts of the page that `training.report` writes."""
