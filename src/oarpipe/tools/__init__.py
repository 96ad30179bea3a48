"""Commands without a rule: what a person asks of a book, a machine or a clone."""

TOOLS = (
    *("show", "plan", "status", "compare", "orders", "agreement", "metrics", "make_reference"),
    *("doctor", "schema", "export_model", "export_tokens", "study", "tally"),
)
