"""A claim's life, room by room: close -> claim -> review -> pay -> correct -> audit.

closing      closes a period: gathers its meals up to the cut-off, compares them, writes statement, findings and draft claim
claims       moves a claim: submitted, reviewed, determined, approved, paid by a checked voucher
corrections  answers what became known late: revaluations, reallocated benefits, refunds to elders
audit        computes a closed period a second way and compares
desk         the pages, what they show, and the exports

A room imports from those before it, desk and audit from all; `make check` holds it. The way of the money stands in
docs/architecture.md.
"""
