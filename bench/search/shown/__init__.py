"""What a search shows of its trials: sentences, the table, the plot, a section of the report, the files."""
