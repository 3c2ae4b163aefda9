"""Readers: a raw file becomes cells of text with their positions and what kind of cell each was.

    limits      `read_limited`, the one door: reads any file in a child process under limits
    child       that process: which reader takes the file, archives unpacked, cells left as Arrow files
    detect      what a file is, by its content
    archive     files inside gz and zip, and which of them make up one table
    csv         delimited text; csv_blocks the same, faster, for a file in perfect order
    excel       workbooks; marks* what their parser does not tell, or would misread; formats how they show numbers
    sheet_xlsx, strings_xlsx   the XML of one sheet and of its shared texts; skim passes over what is plain in it
    json, parquet, fixed   the other formats
    grid        what all of them return; cells what a cell can be
    locate      where a contract's fields stand in it
    propose     what a file suggests about options that nobody has declared

A reader types nothing and guesses nothing: what a file does not prove is declared, or the file is rejected.
"""
