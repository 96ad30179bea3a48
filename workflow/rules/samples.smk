rule generate:
    input:
        recipe=recipe("samples"),
        model=ingredient("samples", "model"),
        tokenizer=ingredient("samples", "tokenizer"),
        orders=ingredient("samples", "orders"),
        head=ingredient("samples", "head"),
    output:
        receipt="results/{book}/seed-{seed}/samples/{name}/shards/{scatteritem}.json",
    log:
        "results/{book}/logs/generate/{name}.seed-{seed}.{scatteritem}.log",
    benchmark:
        "results/{book}/benchmarks/generate/{name}.seed-{seed}.{scatteritem}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, ancestor=2),
        orders=optional("orders"),
        head=optional("head"),
    message:
        "Generating the samples {wildcards.name}, seed {wildcards.seed}, share {wildcards.scatteritem}"
    shell:
        "oarpipe generate --recipe {input.recipe} --model {input.model} --tokenizer {input.tokenizer}"
        " {params.orders} {params.head} --shard {wildcards.scatteritem} --out {params.out} --log {log} --runtime {resources.runtime}"


rule merge_samples:
    input:
        recipe=recipe("samples"),
        model=ingredient("samples", "model"),
        tokenizer=ingredient("samples", "tokenizer"),
        orders=ingredient("samples", "orders"),
        head=ingredient("samples", "head"),
        shards=gather.generate(
            "results/{{book}}/seed-{{seed}}/samples/{{name}}/shards/{scatteritem}.json"
        ),
    output:
        receipt="results/{book}/seed-{seed}/samples/{name}/receipt.json",
    log:
        "results/{book}/logs/merge_samples/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/merge_samples/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        out=subpath(output.receipt, parent=True),
        orders=optional("orders"),
        head=optional("head"),
    message:
        "Collecting and checking the samples {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe merge_samples --recipe {input.recipe} --model {input.model}"
        " --tokenizer {input.tokenizer} {params.orders} {params.head} --out {params.out} --log {log} --runtime {resources.runtime}"


rule search:
    input:
        recipe=recipe("searches"),
        arm=recipe_of_arm,
        dataset=ingredient("searches", "dataset"),
        features=ingredient("searches", "features"),
        model=ingredient("samples", "model", wildcard="arm"),
        tokenizer=ingredient("samples", "tokenizer", wildcard="arm"),
        orders=ingredient("samples", "orders", wildcard="arm"),
        head=ingredient("samples", "head", wildcard="arm"),
    output:
        receipt="results/{book}/seed-{seed}/searches/{name}/{arm}/receipt.json",
    log:
        "results/{book}/logs/search/{name}.{arm}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/search/{name}.{arm}.seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=1440,
    params:
        out=subpath(output.receipt, parent=True),
        orders=optional("orders"),
        head=optional("head"),
    message:
        "Searching the best setting of {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "oarpipe search --recipe {input.recipe} --arm {input.arm} --dataset {input.dataset}"
        " --features {input.features} --model {input.model} --tokenizer {input.tokenizer}"
        " {params.orders} {params.head} --out {params.out} --log {log} --runtime {resources.runtime}"
