// What follows the products of a strip's 16 rows, each thread's sums of which lie in `partial`.

const ROWS = 16u;

var<workgroup> partial: array<f32, 4096>;    // (ROWS, THREADS)

// Adds up what the threads have, and writes the rows from `first` on of `count`, after what EPILOGUE says. Of a gate the
// second half of the threads has the second matrix. `own_squares` are those of the thread's part of x.
fn finish(first: u32, count: u32, own_squares: f32, thread: u32) {
    let gated = EPILOGUE == GATED;
    let is_second = gated && thread >= (THREADS >> 1u);
    var squares = own_squares;
    workgroupBarrier();
    // Each row's sums, those of either half of the threads apart, in as many places as there are threads for a row.
    let places = THREADS / ROWS;
    let begins = (thread / places) * THREADS + thread % places;
    var halves = vec2<f32>();
    for (var i = 0u; i < 8u; i++) {
        halves += vec2<f32>(partial[begins + i * places], partial[begins + (i + 8u) * places]);
    }
    workgroupBarrier();
    partial[thread] = halves.x;
    partial[THREADS + thread] = halves.y;
    if (NORM != 0u) { partial[2u * THREADS + thread] = select(squares, 0.0, is_second); }
    workgroupBarrier();
    halves = vec2<f32>();
    if (thread < ROWS) {
        for (var i = 0u; i < places; i++) {
            halves += vec2<f32>(partial[thread * places + i], partial[THREADS + thread * places + i]);
        }
        if (NORM != 0u) {
            squares = 0.0;
            for (var i = 0u; i < places; i++) { squares += partial[2u * THREADS + i * ROWS + thread]; }
            partial[3u * THREADS + thread] = squares;
        }
    }
    workgroupBarrier();
    let row = first + thread;
    if (HANDS_ON) {
        if (thread < ROWS) {
            let at = params.out_first + params.first_row + row;
            var total = row_scale(params.base_row + row) * (halves.x + halves.y);
            if (BIASES != 0u) { total += bias_of(row); }
            let sum = out[at] + params.factor * total;
            out[at] = sum;
            third_bias[row] = sum * second_bias[row];
            partial[thread] = sum * sum;
        }
        workgroupBarrier();
        if (thread < 4u) {
            let i = 4u * thread;
            let squares_of_four = partial[i] + partial[i + 1u] + partial[i + 2u] + partial[i + 3u];
            third_bias[params.rows + (first >> 2u) + thread] = squares_of_four;
        }
        return;
    }
    if (thread >= ROWS || row >= count) { return; }
    var factor = 1.0;
    if (NORM != 0u) {
        squares = 0.0;
        for (var i = 0u; i < ROWS; i++) { squares += partial[3u * THREADS + i]; }
        factor = inverseSqrt(squares / f32(params.columns) + params.epsilon);
    }
    let at = params.out_first + params.first_row + row;
    let stored_row = params.base_row + row;
    if (gated) {
        var gate = factor * row_scale(stored_row) * halves.x;
        var up = factor * row_scale(stored_row + params.second_row) * halves.y;
        if ((BIASES & 1u) != 0u) { gate += first_bias[row]; }
        if ((BIASES & 2u) != 0u) { up += second_bias[row]; }
        out[at] = activate(gate, params.activation) * up;
        return;
    }
    var total = factor * row_scale(stored_row) * (halves.x + halves.y);
    if (BIASES != 0u) { total += bias_of(row); }
    if (EPILOGUE == ADD) { total = out[at] + params.factor * total; }
    if (EPILOGUE == SCALE) {
        total *= params.factor;
        if (params.softcap > 0.0) { total = softcap(total, params.softcap); }
    }
    out[at] = total;
}
