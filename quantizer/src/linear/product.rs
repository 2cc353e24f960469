//! Products of matrices, through `matrixmultiply`.

/// How a matrix lies in its slice: element (row, column) is at `row * step_row + column * step_column`.
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    /// From row to row.
    pub row: usize,
    /// From column to column.
    pub column: usize,
}

/// Rows one behind the other.
pub const fn rows_of(columns: usize) -> Strides {
    Strides { row: columns, column: 1 }
}

/// The same, read as its transpose.
pub const fn columns_of(columns: usize) -> Strides {
    Strides { row: 1, column: columns }
}

/// Whether (rows, columns) lie within so many elements.
fn fits([rows, columns]: [usize; 2], strides: Strides, length: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * strides.row + (columns - 1) * strides.column < length
}

macro_rules! product {
    ($name:ident, $float:ty, $gemm:path) => {
        /// `out = factor * a b + keep * out`; `[m, k, n]`: a is (m, k) and b (k, n).
        pub fn $name(
            [m, k, n]: [usize; 3],
            factor: $float,
            (a, a_strides): (&[$float], Strides),
            (b, b_strides): (&[$float], Strides),
            keep: $float,
            (out, out_strides): (&mut [$float], Strides),
        ) {
            assert!(
                fits([m, k], a_strides, a.len())
                    && fits([k, n], b_strides, b.len())
                    && fits([m, n], out_strides, out.len()),
                "a product of ({m}, {k}) and ({k}, {n})"
            );
            let [a_row, a_column, b_row, b_column, out_row, out_column] =
                [a_strides.row, a_strides.column, b_strides.row, b_strides.column, out_strides.row, out_strides.column]
                    .map(|step| step as isize);
            // SAFETY: all elements lie within their slices, as was asserted, and `out` is borrowed by nobody else.
            unsafe {
                $gemm(
                    m,
                    k,
                    n,
                    factor,
                    a.as_ptr(),
                    a_row,
                    a_column,
                    b.as_ptr(),
                    b_row,
                    b_column,
                    keep,
                    out.as_mut_ptr(),
                    out_row,
                    out_column,
                );
            }
        }
    };
}

product!(product_f32, f32, matrixmultiply::sgemm);
product!(product_f64, f64, matrixmultiply::dgemm);
