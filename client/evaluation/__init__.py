"""How well Health Helper measures, and how it compares with others, on clips whose truth is known.

    selection   what is measured: grids (simulated), recordings (real), layouts (data sets; contact: their truth)
    cases       one thing to measure, its truth, and how each tool measures it → outcomes
    workers     several processes at once; ledger: what is done already, so that a stopped run goes on
    metrics     outcomes → figures; targets: what we want of them; report, plots: tables and pictures
    regression  the small fixed part beside the committed table
    peers       the other packages, each in an environment of its own; process runs one; cost compares what they take

Nothing here is loaded by a scan.
"""
