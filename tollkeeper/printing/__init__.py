"""Documents as paper: what is printed, read from the records, and rendered to a PDF of fixed bytes."""
