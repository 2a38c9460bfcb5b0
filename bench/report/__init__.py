"""The report: HTML, Markdown and charts."""
