"""One line of the report for every rule, no line twice, variables agreeing."""
