"""The kinds of findings: one table, from which the report takes its words and the reference page is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What one kind of finding means, and who does what about it.

    `title` names it in a heading. `sender` is for the person who sent the file and knows nothing of contracts;
    it may name `{column}` (the header) and `{expected}` (what its cells must look like). `says` describes the
    finding in plain words, where its own message is written for the zone; it may also name `{count}`.
    """

    name: str
    title: str
    meaning: str
    severity: str
    sender: str
    engineer: str
    says: str | None = None


_ERROR = "error"
_INFO = "info"
_WARNING = "warning"
_UNUSUAL = "warning; holds the batch as `checks.outliers` of the source says"
_UNUSUAL_NEXT = "Release the batch if the figures are right; set `checks.outliers` of the source in pipeline.yaml."


def _by(drift: str) -> str:
    return f"as `drift.{drift}` of the contract answers: error (reject), warning (hold), info (tolerate)"


_RULE_NEXT = "Change the rule under `quality` in the contract, or its action: `warn`, `quarantine` or `halt`."

KINDS: tuple[Kind, ...] = (
    # -- the file as a whole
    Kind(
        "unreadable_file",
        "the file cannot be opened",
        "The file is damaged, protected by a password, of another format than its name says, "
        "or costs more memory or time to open than a delivery may. "
        "Of a damaged workbook the finding names the cell that does not say what would be read of it.",
        _ERROR,
        "Open the file in the program that made it, save it again without a password, and deliver it again.",
        "Raise the limits of reading, or declare `reader.format`, where the file is as it should be.",
    ),
    Kind(
        "missing_member",
        "the archive lacks its data file",
        "No file inside the archive has the name that the contract's reader hints ask for.",
        _ERROR,
        "Put the data file into the archive under its agreed name, and deliver the archive again.",
        "Correct the pattern `reader.member`.",
    ),
    Kind(
        "file_name",
        "the file's name does not tell its period",
        "The period is read from the file's name, and the name does not have the agreed form.",
        _ERROR,
        "Rename the file as agreed, with its period in the name, and deliver it again.",
        "Correct `period.pattern` of the source in pipeline.yaml.",
    ),
    Kind(
        "wrong_encoding",
        "the text is in another character encoding",
        "A byte of the file does not belong to the declared or detected encoding; nothing is replaced silently.",
        _ERROR,
        'Save the file as "CSV UTF-8", and deliver it again.',
        "Declare `reader.encoding`, often `cp1252` for files from older Windows programs.",
    ),
    Kind(
        "nul_character",
        "the file is no plain text",
        "A NUL character stands in the file: it is damaged, or it is not a text file at all.",
        _ERROR,
        "Export the file again from the program that made it, and deliver it again.",
        "Declare `reader.encoding: utf-16` where the file is text in that encoding.",
    ),
    Kind(
        "malformed_record",
        "a line cannot be read",
        "A quotation mark stands where none may stand, a record does not end, or the file is no valid JSON.",
        _ERROR,
        "Look at the line named: a quotation mark inside a text must be doubled. Exporting the file again from the "
        "program that made it usually helps.",
        'Declare `reader.quote: ""` where quotation marks are ordinary characters in this source.',
    ),
    Kind(
        "empty_file",
        "there are no rows",
        "The file, or the table in it, has a header at most, and no row of data.",
        _by("empty_file"),
        "Check that the right file was sent, and that the export did not stop early.",
        "Set `drift.empty_file` where a period without rows is ordinary.",
        says="there is no row of data below the header",
    ),
    # -- the table and its columns
    Kind(
        "missing_sheet",
        "the sheet is not there",
        "No sheet of the workbook has the agreed name.",
        _ERROR,
        "Give the sheet its agreed name; a hidden sheet must be shown again.",
        "Correct `reader.sheet`, or set `reader.hidden_sheets`.",
    ),
    Kind(
        "ambiguous_sheet",
        "several sheets could be meant",
        "More than one sheet carries the contract's header and data, and nothing says which one counts.",
        _ERROR,
        "Keep one sheet with these columns in the file, or ask the receiver which sheets are meant.",
        "Name the sheet, or a pattern for all of them, in `reader.sheet`.",
    ),
    Kind(
        "missing_header",
        "the row with the column names is not there",
        "No row carries the names of the contract's columns, so the file cannot be told apart from another one.",
        _ERROR,
        "Check that the right file was sent. The row of column names must stand above the data.",
        "Declare `reader.header_row`, `reader.header_rows` or the fields' `aliases`.",
        says="no row carries the agreed column names",
    ),
    Kind(
        "missing_column",
        "a column is missing",
        "No header stands for the field. Columns are found by their names, never by their position.",
        _by("missing_column") + "; always error for a required field",
        "Add the column {expected}, or give it that name if it is there under another one.",
        "Declare further names in the field's `aliases`, or `mayBeAbsent: true`.",
        says="there is no column named {expected}",
    ),
    Kind(
        "unknown_column",
        "a column is not agreed",
        "The file has a column that the contract does not know.",
        _by("new_column"),
        "Remove the column, or ask the receiver to take it in.",
        "Add the field to the contract, or set `drift.new_column`.",
    ),
    Kind(
        "renamed_column",
        "a column seems to have another name",
        "An unknown header is so much like a missing one that it is taken for it.",
        _by("renamed"),
        "Give the column its agreed name {expected}.",
        "Add the new name to the field's `aliases`.",
    ),
    Kind(
        "duplicate_column",
        "a column is there twice",
        "Two headers stand for the same field. Where their cells are identical the first is used.",
        "error where the columns differ, info where they are identical",
        "Keep one of the columns and remove the other.",
        "Narrow the field's `aliases`, so that only one of the headers is meant.",
    ),
    # -- rows
    Kind(
        "row_shape",
        "rows are too short or too long",
        "A row of a text file has another number of cells than the header: a separator is missing, "
        "or stands inside an unquoted text.",
        _ERROR,
        "Look at the rows named: a text that contains the separator must stand in quotation marks.",
        "Declare `reader.delimiter` and `reader.quote` where they were detected wrongly.",
        says="{count} row(s) have fewer or more cells than there are column names",
    ),
    Kind(
        "extra_rows",
        "rows look like totals or remarks",
        "A row has some text, yet fills none of the required columns.",
        _by("extra_rows"),
        "Remove totals, remarks and headings from below and between the rows of data.",
        "Declare `reader.footer` or `reader.skip` patterns, or set `drift.extra_rows`.",
        says="{count} row(s) look like totals or remarks: they fill none of the columns that must be filled",
    ),
    Kind(
        "left_out_rows",
        "rows were left out as agreed",
        "Rows that the reader's hints declare to be totals, headings of groups, or footnotes.",
        _INFO,
        "Nothing: this is as agreed.",
        "The patterns are `reader.footer`, `reader.skip` and `reader.group_rows`.",
    ),
    # -- cells
    Kind(
        "type_mismatch",
        "cells have the wrong form",
        "A cell's text does not have the form of the field's type, or lies outside of its limits. "
        "Nothing is rounded, cut or guessed.",
        _by("type_mismatch"),
        "Correct what stands there: it must be {expected}.",
        "Declare the form that is meant (`formats`, `decimalSign`, `thousandsSign`, `currencySigns`, `nullWords`), "
        "or set `drift.type_mismatch` to set such rows aside.",
        says="{count} cell(s) do not fit",
    ),
    Kind(
        "ambiguous_date",
        "dates can be read two ways",
        "Two of the declared date formats read the text as different days, and nothing is guessed.",
        _by("type_mismatch"),
        "Write these dates in one form that cannot be mistaken, such as 2025-12-31.",
        "Declare one of the two formats only.",
        says="{count} date(s) can be read as two different days",
    ),
    Kind(
        "rounded_number",
        "numbers have lost digits",
        "A workbook keeps 15 digits of a number: the last digits of a longer one, such as a card number, are gone.",
        _by("type_mismatch"),
        "Format the column as text, and enter the numbers again from where they come from.",
        "Nothing: the digits are not in the file.",
        says="{count} number(s) have more than 15 digits, of which a workbook keeps only 15",
    ),
    Kind(
        "missing_value",
        "cells are empty that must be filled",
        "A required field is empty, or holds a word that stands for nothing.",
        _by("type_mismatch") + "; error where the canonical table requires the value",
        "Fill in what is missing: it must be {expected}.",
        "Take `required` from the field, where it may be empty.",
        says="{count} cell(s) are empty, but must be filled",
    ),
    Kind(
        "number_as_text",
        "numbers are stored as text",
        "The workbook holds a number as text; it has the declared form and is taken as the number.",
        _INFO,
        "Nothing is wrong. Formatting the column as numbers avoids the remark.",
        "Set `numbersAsText: reject` to refuse such cells.",
        says="{count} number(s) are stored as text in the workbook, and were taken as numbers",
    ),
    Kind(
        "text_as_number",
        "codes are stored as numbers",
        "The workbook holds a number or a date where the contract says text: leading zeros, if any, are gone.",
        _INFO,
        "If the codes begin with zeros, format the column as text and enter them again.",
        "Set `textAsNumbers: reject` to refuse such cells.",
        says="{count} code(s) are stored as numbers in the workbook; zeros in front of them would be lost",
    ),
    # -- what the data say
    Kind(
        "rule",
        "a quality rule is broken",
        "Rows, or the file as a whole, break a quality rule of the contract.",
        "error for a rule that halts, otherwise warning",
        "Check the rows named against the rule: {expected}.",
        _RULE_NEXT,
    ),
    Kind(
        "duplicate_key",
        "rows have the same key",
        "Rows share the value of a key that must be unique.",
        _ERROR,
        "Keep one of the rows, or correct the key in {column}.",
        "Correct `primaryKey` or `unique` of the canonical table, or the SQL that fills it.",
    ),
    Kind(
        "unknown_reference",
        "rows refer to something unknown",
        "A value refers to a row of another table, and there is no such row.",
        _ERROR,
        "Correct the value in {column}; or deliver the file that brings what it refers to first.",
        "Correct the relationship of the canonical table, or the order of deliveries.",
    ),
    Kind(
        "key_violation",
        "the database refused the rows",
        "PostgreSQL refused the rows for a reason that no check of ours found before.",
        _ERROR,
        "Ask the receiver: the reason lies in their tables.",
        "Read PostgreSQL's own words in the finding.",
    ),
    Kind(
        "reconciliation",
        "the sums do not add up",
        "Rows or sums differ between two stores. Data was refused rather than passed on changed.",
        _ERROR,
        "Nothing: the receiver looks into it.",
        "Look at the reconciliation of the batch, and at the SQL between the two stores named.",
    ),
    Kind(
        "rows_changed_by_sql",
        "the zone's SQL added or dropped rows",
        "The SQL in `clean/` gives another number of rows than it was given.",
        _WARNING,
        "Nothing: the receiver looks into it.",
        "Look at the SQL named, if rows should neither be added nor dropped there.",
    ),
    Kind(
        "duplicate_content",
        "the same rows were delivered before",
        "An earlier file brought the same rows, under another name or in another form.",
        "warning; holds the batch as `checks.duplicates` of the source says",
        "Check that the right file was sent: these rows were delivered before.",
        "Set `checks.duplicates` of the source in pipeline.yaml.",
    ),
    Kind(
        "unusual_rows",
        "far more or fewer rows than usual",
        "The number of rows stands far out from the earlier files of the source.",
        _UNUSUAL,
        "Check that the file is whole, and for one period only.",
        _UNUSUAL_NEXT,
    ),
    Kind(
        "unusual_sum",
        "a sum is far from the usual",
        "The sum of a column stands far out from the earlier files of the source.",
        _UNUSUAL,
        "Check the column {column}: is the file whole, and are the amounts in the usual unit?",
        _UNUSUAL_NEXT,
    ),
    Kind(
        "unusual_nulls",
        "far more or fewer empty cells than usual",
        "The share of empty cells of a column stands far out from the earlier files of the source.",
        _UNUSUAL,
        "Check whether the column {column} was filled as usual.",
        _UNUSUAL_NEXT,
    ),
    Kind(
        "unusual_categories",
        "values are new, or usual ones are missing",
        "A column holds values that no earlier file had, or lacks some that every earlier file had.",
        _UNUSUAL,
        "Check the spelling of the values in the column {column}, and that the file is whole.",
        _UNUSUAL_NEXT,
    ),
    Kind(
        "still_referred",
        "rows that others need are missing",
        "The file stands for the whole of its rows, or of its period, and lacks rows that rows of another table "
        "refer to: they cannot go.",
        _ERROR,
        "Bring the missing rows ({column}) back into the file, and deliver it again.",
        "Withdraw or correct the batches whose rows refer to them, or let the source `upsert` instead.",
    ),
    Kind(
        "replay_kept_rows",
        "rows of the replayed batch stay",
        "A batch was replayed, and rows that it brought the first time and not now stay in the canonical tables.",
        _WARNING,
        "Nothing: the receiver looks into it.",
        "Make the tables named anew from their batches: `assay rebuild ZONE.operational.TABLE`.",
    ),
    Kind(
        "personal_data",
        "personal data stands where none is expected",
        "Cells of a column that is not classified for it look like e-mail addresses, card numbers or the like.",
        "warning; holds the batch as `checks.personal_data` of the source says",
        "Remove the personal data from the column {column}, unless the receiver agreed to get it.",
        "Classify the field, or name what it may hold in `personalData`.",
    ),
)

_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(name: str) -> Kind:
    """The kind of that name; an unknown one speaks in general words, for records of another version of assay."""
    return _BY_NAME.get(name) or Kind(
        name, name.replace("_", " "), "", "", "Check what is named, or ask the receiver.", ""
    )


def reference_page() -> str:
    """docs/reference/findings.md."""
    lines = [
        "# Findings",
        "",
        "Everything that a check finds is a *finding*: a kind, a severity, a column, a count, and the first cells.",
        "An `error` rejects the whole batch, a `warning` lets it pass, past a steward where it says so, "
        "and an `info` is a remark.",
        "",
        "`assay batch show NUMBER` prints the findings of a batch, grouped; `assay batch return NUMBER` gives the "
        "sender's file back with the cells marked; `assay contract check FILE` finds the same without a platform.",
        "",
        "Values of fields that the contract classifies as sensitive appear as their shape only: `AB-12` as `XX-99`.",
        "",
    ]
    for kind in KINDS:
        lines += [
            f"## {kind.name}",
            "",
            f"*{kind.title[0].upper()}{kind.title[1:]}.*",
            kind.meaning,
            "",
            f"- Severity: {kind.severity}.",
            f"- The sender: {_plain(kind.sender)}",
            f"- The zone's engineer: {kind.engineer}",
            "",
        ]
    return "\n".join(lines)


def _plain(words: str) -> str:
    return words.replace("{column}", "named").replace("{expected}", "as the finding says")
