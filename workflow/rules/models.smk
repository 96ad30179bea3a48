# Three rules make models. An entry with `weights:` is imported; of the others, the order source
# says which one: `distill` where it reads extracted orders, else `train`.
rule import_model:
    input:
        recipe=recipe("models"),
        tokens=ingredient("models", "tokens"),
    output:
        receipt="results/{book}/seed-{seed}/models/{name}/receipt.json",
    log:
        "results/{book}/logs/import_model/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/import_model/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("import_model", "models"),
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Importing the published model {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe import_model --recipe {input.recipe} --tokens {input.tokens}"
        " --out {params.out} --log {log}"


rule train:
    input:
        recipe=recipe("models"),
        tokens=ingredient("models", "tokens"),
        init=ingredient("models", "init"),
    output:
        receipt="results/{book}/seed-{seed}/models/{name}/receipt.json",
    log:
        "results/{book}/logs/train/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/train/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("train", "models"),
    priority: 1
    conda:
        "../../envs/gpu.yaml"
    threads: threads_of_model
    resources:
        gpu=1,
        nodes=1,
        mem_mb=32000,
        runtime=1440,
    params:
        out=subpath(output.receipt, parent=True),
        init=optional("init"),
    message:
        "Training the model {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe train --recipe {input.recipe} --tokens {input.tokens}"
        " {params.init} --out {params.out} --log {log} --runtime {resources.runtime}"
        " --gpus {resources.gpu} --nodes {resources.nodes}"


rule distill:
    input:
        recipe=recipe("models"),
        tokens=ingredient("models", "tokens"),
        init=ingredient("models", "init"),
        orders=ingredient("models", "orders"),
    output:
        receipt="results/{book}/seed-{seed}/models/{name}/receipt.json",
    log:
        "results/{book}/logs/distill/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/distill/{name}.seed-{seed}.tsv"
    wildcard_constraints:
        name=made_by("distill", "models"),
    priority: 1
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        nodes=1,
        mem_mb=32000,
        runtime=1440,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Distilling extracted orders into the model {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe distill --recipe {input.recipe} --tokens {input.tokens}"
        " --init {input.init} --orders {input.orders} --out {params.out} --log {log} --runtime {resources.runtime}"
        " --gpus {resources.gpu} --nodes {resources.nodes}"
