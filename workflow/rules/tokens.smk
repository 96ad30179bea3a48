# Two rules make tokenizers: an entry with `weights:` is imported, where Snakemake itself runs, since
# fetching may need the network; any other is trained.
rule import_tokenizer:
    input:
        recipe=recipe("tokenizers"),
    output:
        receipt="results/{book}/seed-{seed}/tokenizers/{name}/receipt.json",
    log:
        "results/{book}/logs/import_tokenizer/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/import_tokenizer/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("import_tokenizer", "tokenizers"),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Importing the published tokenizer {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe import_tokenizer --recipe {input.recipe} --out {params.out} --log {log}"


rule train_tokenizer:
    input:
        recipe=recipe("tokenizers"),
        dataset=ingredient("tokenizers", "dataset"),
        features=ingredient("tokenizers", "features"),
    output:
        receipt="results/{book}/seed-{seed}/tokenizers/{name}/receipt.json",
    log:
        "results/{book}/logs/train_tokenizer/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/train_tokenizer/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("train_tokenizer", "tokenizers"),
    conda:
        "../../envs/gpu.yaml"
    threads: 2
    resources:
        gpu=1,
        nodes=1,
        mem_mb=16000,
        runtime=1440,
    params:
        out=subpath(output.receipt, parent=True),
        features=optional("features"),
    message:
        "Training the tokenizer {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe train_tokenizer --recipe {input.recipe} --dataset {input.dataset}"
        " {params.features} --out {params.out} --log {log} --runtime {resources.runtime}"
        " --gpus {resources.gpu} --nodes {resources.nodes}"


rule tokenize:
    input:
        recipe=recipe("tokens"),
        dataset=ingredient("tokens", "dataset"),
        tokenizer=ingredient("tokens", "tokenizer"),
    output:
        receipt="results/{book}/seed-{seed}/tokens/{name}/receipt.json",
    log:
        "results/{book}/logs/tokenize/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/tokenize/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("tokenize", "tokens"),
    conda:
        "../../envs/gpu.yaml"
    threads: threads_of_images("tokens")
    resources:
        gpu=1,
        nodes=1,
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Turning images into tokens {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe tokenize --recipe {input.recipe} --dataset {input.dataset}"
        " --tokenizer {input.tokenizer} --out {params.out} --log {log} --runtime {resources.runtime}"
        " --gpus {resources.gpu} --nodes {resources.nodes}"


rule import_tokens:
    input:
        recipe=recipe("tokens"),
        tokenizer=ingredient("tokens", "tokenizer"),
    output:
        receipt="results/{book}/seed-{seed}/tokens/{name}/receipt.json",
    log:
        "results/{book}/logs/import_tokens/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/import_tokens/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("import_tokens", "tokens"),
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Packing the published codes {wildcards.name}"
    shell:
        "oarpipe import_tokens --recipe {input.recipe} --tokenizer {input.tokenizer}"
        " --out {params.out} --log {log} --runtime {resources.runtime}"
