"""One verb a file: `oarpipe.stages.<verb>.<verb>` is the rule `<verb>` and the command `oarpipe <verb>`.

Stages are the only rooms that know paths. `VERBS` says, stage by stage, which verbs there are and
which table of the book each takes its recipe from.
"""

VERBS: dict[str, dict[str, str]] = {
    "data": {"index": "datasets", "train_features": "features"},
    "tokens": {
        "import_tokenizer": "tokenizers",
        "train_tokenizer": "tokenizers",
        "tokenize": "tokens",
        "import_tokens": "tokens",
    },
    "models": {"import_model": "models", "train": "models", "distill": "models"},
    "orders": {
        "extract": "orders",
        "merge_orders": "orders",
        "train_order_head": "order_heads",
    },
    "samples": {"generate": "samples", "merge_samples": "samples", "search": "searches"},
    "evaluation": {"features": "evaluations", "evaluate": "evaluations", "information": "information"},
    "report": {"benchmark": "benchmarks", "report": "reports"},
}

# Verbs that several processes may carry out together, one a GPU (base/distributed, base/launch). Other work
# is scattered: `extract` and `generate` by shards.
TOGETHER = ("train_tokenizer", "tokenize", "train", "distill")
