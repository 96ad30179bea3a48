# Arms wait for these orders, so they go before the samples and searches that could run as well.
rule extract:
    input:
        recipe=recipe("orders"),
        model=ingredient("orders", "model"),
        tokens=ingredient("orders", "tokens"),
        orders=ingredient("orders", "orders"),
        head=ingredient("orders", "head"),
    output:
        receipt="results/{book}/seed-{seed}/orders/{name}/shards/{scatteritem}.json",
    log:
        "results/{book}/logs/extract/{name}.seed-{seed}.{scatteritem}.log",
    benchmark:
        "results/{book}/benchmarks/extract/{name}.seed-{seed}.{scatteritem}.tsv"
    priority: 2
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
        "Extracting the orders {wildcards.name}, seed {wildcards.seed}, share {wildcards.scatteritem}"
    shell:
        "oarpipe extract --recipe {input.recipe} --model {input.model} --tokens {input.tokens}"
        " {params.orders} {params.head} --shard {wildcards.scatteritem} --out {params.out} --log {log} --runtime {resources.runtime}"


rule merge_orders:
    input:
        recipe=recipe("orders"),
        model=ingredient("orders", "model"),
        tokens=ingredient("orders", "tokens"),
        orders=ingredient("orders", "orders"),
        head=ingredient("orders", "head"),
        shards=gather.extract(
            "results/{{book}}/seed-{{seed}}/orders/{{name}}/shards/{scatteritem}.json"
        ),
    output:
        receipt="results/{book}/seed-{seed}/orders/{name}/receipt.json",
    log:
        "results/{book}/logs/merge_orders/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/merge_orders/{name}.seed-{seed}.tsv"
    priority: 2
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        out=subpath(output.receipt, parent=True),
        orders=optional("orders"),
        head=optional("head"),
    message:
        "Merging and checking the orders {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe merge_orders --recipe {input.recipe} --model {input.model}"
        " --tokens {input.tokens} {params.orders} {params.head} --out {params.out} --log {log} --runtime {resources.runtime}"


rule train_order_head:
    input:
        recipe=recipe("order_heads"),
        model=ingredient("order_heads", "model"),
        tokens=ingredient("order_heads", "tokens"),
        orders=ingredient("order_heads", "orders"),
    output:
        receipt="results/{book}/seed-{seed}/order_heads/{name}/receipt.json",
    log:
        "results/{book}/logs/train_order_head/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/train_order_head/{name}.seed-{seed}.tsv"
    priority: 2
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Training the order head {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe train_order_head --recipe {input.recipe} --model {input.model}"
        " --tokens {input.tokens} --orders {input.orders} --out {params.out} --log {log} --runtime {resources.runtime}"
