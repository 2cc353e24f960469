// 3 bits a weight: four columns of a strip are 6 words.
alias Wide = vec2<u32>;
const WIDE_WORDS = 2u;

// Four columns, and the word that follows them.
struct Columns { load_0: Wide, load_1: Wide, load_2: Wide, next: u32 }

fn columns_load(at: u32, next: u32) -> Columns {
    let wide = at / WIDE_WORDS;
    return Columns(wide_weights[wide + 0u], wide_weights[wide + 1u], wide_weights[wide + 2u], weights[next]);
}

fn columns_words(columns: Columns) -> array<u32, 7> {
    return array<u32, 7>(
        columns.load_0.x, columns.load_0.y,
        columns.load_1.x, columns.load_1.y,
        columns.load_2.x, columns.load_2.y,
        columns.next,
    );
}
