//! Aligned columns, cell by cell as Go's `text/tabwriter` aligns them.
//!
//! A cell ends at a tab; the text after the last tab of a line belongs to no column. A column
//! is a run of lines that all have that cell, so a heading without tabs does not widen it.

/// How wide cells are made.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) min_width: usize,
    pub(crate) padding: usize,
}

/// docker's tables.
pub(crate) const TABLE: Layout = Layout {
    min_width: 10,
    padding: 3,
};
/// `docker version`.
pub(crate) const VERSION: Layout = Layout {
    min_width: 20,
    padding: 1,
};

/// Replaces the tabs of `text` by spaces.
pub(crate) fn align(text: &str, layout: Layout) -> String {
    let lines: Vec<Vec<&str>> = text
        .split('\n')
        .map(|line| line.split('\t').collect())
        .collect();
    let mut out = Lines {
        lines: &lines,
        layout,
        widths: Vec::new(),
        out: String::new(),
    };
    out.block(0, lines.len());
    // Every line was written with its newline; the text after the last one has none.
    out.out.pop();
    out.out
}

struct Lines<'a> {
    lines: &'a [Vec<&'a str>],
    layout: Layout,
    widths: Vec<usize>,
    out: String,
}

impl Lines<'_> {
    /// Writes lines `from..to`, whose first columns have the widths known so far.
    fn block(&mut self, from: usize, to: usize) {
        let column = self.widths.len();
        let mut written = from;
        let mut line = from;
        while line < to {
            if column + 1 >= self.lines[line].len() {
                line += 1;
                continue;
            }
            self.write(written, line);
            let start = line;
            let mut width = self.layout.min_width;
            while line < to && column + 1 < self.lines[line].len() {
                width = width.max(self.lines[line][column].chars().count() + self.layout.padding);
                line += 1;
            }
            self.widths.push(width);
            self.block(start, line);
            self.widths.pop();
            written = line;
        }
        self.write(written, to);
    }

    fn write(&mut self, from: usize, to: usize) {
        for line in &self.lines[from..to] {
            for (column, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = self.widths.get(column).filter(|_| column + 1 < line.len()) {
                    let length = cell.chars().count();
                    self.out
                        .extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_ten_wide_at_least_and_three_apart() {
        let table = "CONTAINER ID\tIMAGE\tNAMES\n1234567890ab\tbusybox\tx\n";
        assert_eq!(
            align(table, TABLE),
            "CONTAINER ID   IMAGE     NAMES\n1234567890ab   busybox   x\n"
        );
    }

    #[test]
    fn a_line_without_a_cell_parts_two_columns() {
        let text = "Client:\n Version:\t1\nServer:\n A rather long name of a thing:\t2\n";
        assert_eq!(
            align(text, VERSION),
            "Client:\n Version:           1\nServer:\n A rather long name of a thing: 2\n"
        );
    }

    #[test]
    fn an_empty_last_cell_leaves_padding_before_it() {
        assert_eq!(align("A\tB\n1\t\n", TABLE), "A         B\n1         \n");
    }
}
