rule report:
    input:
        recipe=recipe("reports"),
        evaluation=of_all_seeds("evaluation"),
        information=of_all_seeds("information"),
        benchmark=of_all_seeds("benchmark"),
        datasets=of_all_seeds("datasets"),
        features=of_all_seeds("features"),
        tokenizers=of_all_seeds("tokenizers"),
        tokens=of_all_seeds("tokens"),
        models=of_all_seeds("models"),
        orders=of_all_seeds("orders"),
        order_heads=of_all_seeds("order_heads"),
        samples=of_all_seeds("samples"),
        searches=of_all_seeds("searches"),
    output:
        page=report(
            "results/{book}/reports/{name}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"entry": "{name}"},
        ),
        receipt="results/{book}/reports/{name}/receipt.json",
    log:
        "results/{book}/logs/report/{name}.log",
    benchmark:
        "results/{book}/benchmarks/report/{name}.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        out=subpath(output.receipt, parent=True),
        information=optional("information"),
        benchmark=optional("benchmark"),
        orders=optional("orders"),
        order_heads=optional("order_heads"),
        searches=optional("searches"),
    message:
        "Writing the report {output.page}"
    shell:
        "oarpipe report --recipe {input.recipe} --evaluation {input.evaluation}"
        " {params.information} {params.benchmark} --datasets {input.datasets} --features {input.features}"
        " --tokenizers {input.tokenizers} --tokens {input.tokens} --models {input.models}"
        " {params.orders} {params.order_heads} --samples {input.samples} {params.searches}"
        " --out {params.out} --log {log}"
