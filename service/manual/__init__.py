"""The documentation as a site: the Markdown files of `docs/`, found, put into an order, rendered and indexed."""
