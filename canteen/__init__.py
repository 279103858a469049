"""Meals and subsidies of community canteens for old people.

The words, one a thing, in code, tables, pages and commands:

elder        a person on the roster; facts about an elder are dated and only ever added
credential   what identifies an elder: our card, an ID-card reader, a phone code
scan         the raw text that a reader, a camera or a keyboard gave
diner        an elder or a guest as the rules see them on one day
meal         what is eaten: canteen, day, period (breakfast, lunch, dinner), mode, lines or one amount
rulebook     one published version of a scheme; never edited once used
allowance    a limit with a stable id; a slot is one unit of it
quote        list price, shares, due, and the reasons
sale         a meal eaten: a fact that is never refused afterwards and never changed
share        who pays how many fen of a sale, by which rule and clause, and why
record       what a tablet sends: one checkout, one void, one count
transfer     fen moving between two accounts; a verdict is a transfer
period       the days that one claim of a contract covers
statement    what a closed period came to, with the names of its close; a finding is what a person must judge in it
claim        what a canteen's operator is owed by each fund; a decision moves it, a payout pays it
"""
