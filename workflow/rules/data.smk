rule index:
    input:
        recipe=recipe("datasets"),
    output:
        receipt="results/{book}/seed-{seed}/datasets/{name}/receipt.json",
    log:
        "results/{book}/logs/index/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/index/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: threads_of_images("datasets")
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        out=subpath(output.receipt, parent=True),
    message:
        "Listing and splitting the images of {wildcards.name}"
    shell:
        "oarpipe index --recipe {input.recipe} --out {params.out} --log {log} --runtime {resources.runtime}"


rule train_features:
    input:
        recipe=recipe("features"),
        dataset=ingredient("features", "dataset"),
    output:
        receipt="results/{book}/seed-{seed}/features/{name}/receipt.json",
    log:
        "results/{book}/logs/train_features/{name}.seed-{seed}.log",
    benchmark:
        "results/{book}/benchmarks/train_features/{name}.seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        out=subpath(output.receipt, parent=True),
        dataset=optional("dataset"),
    message:
        "Making ready the network {wildcards.name}, which measures distances"
    shell:
        "oarpipe train_features --recipe {input.recipe} {params.dataset}"
        " --out {params.out} --log {log} --runtime {resources.runtime}"
