# A benchmark wants the machine to itself, which no rule can promise: run it alone, or believe its ratios only.
rule benchmark:
    input:
        recipe=recipe("benchmarks"),
    output:
        receipt="results/{book}/seed-{seed}/benchmarks/{name}/receipt.json",
    log:
        "results/{book}/logs/benchmark/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/benchmark/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=120,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Measuring how fast this machine is: {wildcards.name}"
    shell:
        "oarpipe benchmark --recipe {input.recipe} --out {params.out} --log {log} --runtime {resources.runtime}"
