include: "workflow/Snakefile"


# What `snakemake` alone makes; an included file cannot say so.
rule everything:
    default_target: True
    input:
        rules.all.input,
