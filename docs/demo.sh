#!/bin/sh
# The example from delivered files to answers: `make demo` runs this, and README.md shows what it prints.
# Usage: demo.sh FOLDER, with `assay` and `python` on the PATH. FOLDER is written anew.
set -eu
folder=$1
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

title() { printf '\n\n%s%s%s\n' "$bold" "$*" "$plain"; }
# Says a command as it can be typed, and runs it.
show() { printf '\n$ %s\n' "$*" && "$@"; }
ask() { printf '\n$ assay sql --zone corporate_finance "%s"\n' "$1" && assay sql --zone corporate_finance "$1"; }

title "A project of two zones, and what its offices sent in a year"
rm -rf "$folder"
show assay init "$folder" --example expenses 2>/dev/null
show cd "$folder"
show python generate.py
# What apply creates fills a screen; its last lines count it.
printf '\n$ assay apply\n'
assay apply | tail -n 2
# What is public throughout, the file of its zone grants to whoever asks.
show assay subscription list

title "Everything that waits is taken in; two files break their contracts"
# Exit code 3 says that a contract rejected something: this demo means it to.
show assay run || test $? -eq 3

title "Why they were rejected: file, cell, found, expected"
for batch in $(assay batch list --state rejected | awk '/ rejected / {print $1}' | sort -n); do
    show assay batch show "$batch"
done

title "The card office corrects its workbook and delivers it again"
show assay ingest corrected/card-2025-12.xlsx --zone corporate_finance --pipeline expenses

title "Three answers from the analytical tables; the ledger's December is still to come"
ask "
    SELECT department, sum(lines)::BIGINT AS lines, sum(amount) AS eur, sum(refunds) AS refunds
    FROM analytical.expense_by_month
    GROUP BY department ORDER BY eur DESC"
ask "
    SELECT strftime(month, '%Y-%m') AS month, sum(lines)::BIGINT AS lines, sum(amount) AS eur
    FROM analytical.expense_by_month
    GROUP BY ALL ORDER BY month"
ask "
    SELECT country, currency_code AS currency, count(*) AS lines, sum(amount) AS eur
    FROM analytical.expense_wide
    WHERE currency_code <> 'EUR' AND country IS NOT NULL
    GROUP BY ALL ORDER BY eur DESC LIMIT 6"

title "The project is in $folder; no server is left running"
