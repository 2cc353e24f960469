// 4 bits a weight: four columns of a strip are 8 words.
alias Wide = vec4<u32>;
const WIDE_WORDS = 4u;

// Four columns, and the word that follows them.
struct Columns { load_0: Wide, load_1: Wide, next: u32 }

fn columns_load(at: u32, next: u32) -> Columns {
    let wide = at / WIDE_WORDS;
    return Columns(wide_weights[wide + 0u], wide_weights[wide + 1u], weights[next]);
}

fn columns_words(columns: Columns) -> array<u32, 9> {
    return array<u32, 9>(
        columns.load_0.x, columns.load_0.y, columns.load_0.z, columns.load_0.w,
        columns.load_1.x, columns.load_1.y, columns.load_1.z, columns.load_1.w,
        columns.next,
    );
}
