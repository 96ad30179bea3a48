rule features:
    input:
        recipe=recipe("evaluations"),
        samples=ingredient("evaluations", "samples"),
        searches=ingredient("evaluations", "searches"),
        dataset=ingredient("evaluations", "dataset"),
        features=ingredient("evaluations", "features"),
    output:
        receipt="results/{book}/seed-{seed}/evaluations/{name}/features/receipt.json",
    log:
        "results/{book}/logs/features/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/features/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, parent=True),
        samples=optional("samples"),
        searches=optional("searches"),
        dataset=optional("dataset"),
    message:
        "Measuring the features of all sample sets for {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe features --recipe {input.recipe} {params.samples} {params.searches}"
        " {params.dataset} --features {input.features} --out {params.out} --log {log} --runtime {resources.runtime}"


rule evaluate:
    input:
        recipe=recipe("evaluations"),
        measured="results/{book}/seed-{seed}/evaluations/{name}/features/receipt.json",
    output:
        metrics=report(
            "results/{book}/seed-{seed}/evaluations/{name}/metrics.json",
            caption="../report/metrics.rst",
            category="Numbers",
            labels={"entry": "{name}", "seed": "{seed}"},
        ),
        receipt="results/{book}/seed-{seed}/evaluations/{name}/receipt.json",
    log:
        "results/{book}/logs/evaluate/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/evaluate/{name}.seed-{seed}.tsv"
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
        "Computing the metrics of {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe evaluate --recipe {input.recipe} --measured {input.measured}"
        " --out {params.out} --log {log} --runtime {resources.runtime}"


rule information:
    input:
        recipe=recipe("information"),
        models=ingredient("information", "models"),
        tokens=ingredient("information", "tokens"),
        orders=ingredient("information", "orders"),
    output:
        information="results/{book}/seed-{seed}/information/{name}/information.json",
        receipt="results/{book}/seed-{seed}/information/{name}/receipt.json",
    log:
        "results/{book}/logs/information/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/information/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        out=subpath(output.receipt, parent=True),
        orders=optional("orders"),
    message:
        "Measuring held-out likelihoods for {wildcards.name}, seed {wildcards.seed}"
    shell:
        "oarpipe information --recipe {input.recipe} --models {input.models}"
        " --tokens {input.tokens} {params.orders} --out {params.out} --log {log} --runtime {resources.runtime}"
