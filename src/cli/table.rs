/// Rows below their headings, each column as wide as it must be; numbers are to be formatted already.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &[String; N]| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    std::iter::once(&headings.map(str::to_owned)).chain(rows).map(line).collect()
}

/// What a table shows of something unknown.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["ä", "x"], ["long", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["A", "BB"], &rows), "A     BB\nä     x\nlong\n");
        assert_eq!(or_dash(None::<u8>), "-");
    }
}
