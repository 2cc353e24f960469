//! `quantization_config` of our own method: what is read of it, and that nothing in it is guessed.

use hearth_engine::{
    Error,
    file::{Catalog, MemoryFolder},
    quant::{
        rotation::Rotation,
        trellis::{Code, Codebook, strip_bytes},
    },
    tensor::Format,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::files::{check_promises, open, refusal};

const NAME: &str = "model.layers.0.mlp.down_proj.weight";
const PLAIN: &str = "model.layers.0.self_attn.q_proj.weight";

/// A matrix of 37 rows and 48 columns in three strips, one of 3 rows in blocks of Q4_0, and a plain one.
fn weights(strip: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..3 * strip).map(|byte| byte as u8).collect();
    let view =
        |dtype, shape: &[usize], length: usize| TensorView::new(dtype, shape.to_vec(), &bytes[..length]).unwrap();
    let tensors = [
        (NAME, view(Dtype::U8, &[3, strip], 3 * strip)),
        ("blocks", view(Dtype::U8, &[3, 36], 108)),
        (PLAIN, view(Dtype::F32, &[2, 4], 32)),
    ];
    safetensors::serialize(tensors, None).unwrap()
}

fn config() -> Value {
    json!({
        "model_type": "llama",
        "quantization_config": {
            "quant_method": "hearth", "version": 1, "codebook": "sum6", "window_bits": 12,
            "rotation": { "seed": 5, "residual": true, "values": false, "down_block": 64 },
            "tensors": {
                NAME: { "format": "TRELLIS3", "shape": [37, 48] },
                "blocks": { "format": "Q4_0", "shape": [3, 64] },
            },
        },
    })
}

fn open_with(config: &Value) -> hearth_engine::Result<Catalog> {
    open_strips(config, strip_bytes(3, 48))
}

fn open_strips(config: &Value, strip: usize) -> hearth_engine::Result<Catalog> {
    let folder = MemoryFolder::new("model")
        .with("config.json", config.to_string())
        .with("tokenizer.json", "{}")
        .with("model.safetensors", weights(strip));
    open(&folder, None).map(|opened| opened.catalog)
}

#[test]
fn named_tensors_get_their_formats_and_shapes() {
    let catalog = open_with(&config()).unwrap();
    check_promises(&catalog);
    let tensor = catalog.tensor(NAME).unwrap();
    assert_eq!((tensor.format, &*tensor.shape, tensor.len_bytes), (Format::Trellis3, &[37, 48][..], 3 * 320));
    assert_eq!(catalog.tensor("blocks").unwrap().format, Format::Q4_0);
    assert_eq!(catalog.tensor(PLAIN).unwrap().format, Format::F32);
    assert_eq!(catalog.quantization.code, Code::new(Codebook::Sum6, 12).unwrap());
    let rotation = Rotation { seed: 5, residual: true, values: false, down_block: 64 };
    assert_eq!(catalog.quantization.rotation, rotation);
    // Strips are read whole, the last one with the rows that fill it up.
    let read = |rows| pollster::block_on(catalog.read_rows(tensor, rows));
    let first: Vec<u8> = (0..320).map(|byte| byte as u8).collect();
    assert_eq!(read(0..16).unwrap(), first);
    assert_eq!(read(16..37).unwrap().len(), 640);
    for rows in [0..8, 8..16, 0..37 - 1, 32..38] {
        assert!(read(rows.clone()).is_err(), "{rows:?}");
    }
}

#[test]
fn other_methods_change_nothing() {
    for own in [json!(null), json!({ "quant_method": "gptq", "version": 7 }), json!({})] {
        let mut config = config();
        config["quantization_config"] = own;
        let error = refusal(open_with(&config));
        assert!(matches!(&error, Error::UnsupportedFormat { format, .. } if format == "U8"), "{error}");
    }
}

#[test]
fn what_is_wrong_is_named_and_never_guessed() {
    let cases: [(&str, Value, &str); 22] = [
        ("/version", json!(2), "quantization_config.version"),
        ("/version", json!("1"), "quantization_config.version"),
        ("/codebook", json!("sum8"), "sum8"),
        ("/codebook", json!(7), "quantization_config.codebook"),
        ("/window_bits", json!(13), "quantization_config.window_bits"),
        ("/window_bits", json!(-16), "quantization_config.window_bits"),
        ("/rotation", json!([]), "quantization_config.rotation"),
        ("/rotation/down_block", json!(48), "down_block"),
        ("/rotation/seed", json!(0.5), "seed"),
        ("/rotation/residual", json!(1), "residual"),
        ("/tensors", json!([]), "quantization_config.tensors"),
        ("/tensors", json!({ "absent": { "format": "TRELLIS2", "shape": [16, 16] } }), "absent"),
        (&["/tensors/", NAME].concat(), json!("TRELLIS3"), NAME),
        (&["/tensors/", NAME, "/format"].concat(), json!("TRELLIS7"), "TRELLIS7"),
        (&["/tensors/", NAME, "/format"].concat(), json!("TRELLIS4"), NAME),
        (&["/tensors/", NAME, "/format"].concat(), json!("Q8_0"), "32"),
        (&["/tensors/", NAME, "/shape"].concat(), json!([49, 48]), NAME),
        (&["/tensors/", NAME, "/shape"].concat(), json!([37, 40]), "16"),
        (&["/tensors/", NAME, "/shape"].concat(), json!([0, 48]), "above 0"),
        (&["/tensors/", NAME, "/shape"].concat(), json!([37]), "two numbers"),
        (&["/tensors/", NAME, "/shape"].concat(), json!([u64::MAX, 16]), NAME),
        (&["/tensors/", NAME, "/shape"].concat(), json!([16, 1_u64 << 63]), NAME),
    ]
    .map(|(place, value, named)| (place.to_owned().leak() as &str, value, named));
    for (place, value, named) in cases {
        let mut config = config();
        let found = config["quantization_config"].pointer_mut(place).unwrap_or_else(|| panic!("{place} is not there"));
        *found = value.clone();
        let error = refusal(open_with(&config)).to_string();
        assert!(error.contains(named), "{place} = {value}: {error}");
    }
}

#[test]
fn what_is_absent_is_named() {
    for field in ["version", "codebook", "window_bits", "tensors"] {
        let mut config = config();
        config["quantization_config"].as_object_mut().unwrap().remove(field);
        let error = refusal(open_with(&config)).to_string();
        assert!(error.contains(&format!("quantization_config.{field}")), "{error}");
    }
    for field in ["format", "shape"] {
        let mut config = config();
        config["quantization_config"]["tensors"][NAME].as_object_mut().unwrap().remove(field);
        let error = refusal(open_with(&config)).to_string();
        assert!(error.contains(field) && error.contains(NAME), "{error}");
    }
}

#[test]
fn plain_tensors_cannot_be_said_to_be_quantised() {
    let mut config = config();
    config["quantization_config"]["tensors"][PLAIN] = json!({ "format": "TRELLIS2", "shape": [16, 16] });
    let error = refusal(open_with(&config));
    assert!(matches!(&error, Error::UnsupportedFormat { tensor, .. } if tensor == PLAIN), "{error}");
}

#[test]
fn levels_stand_beside_other_formats_and_take_the_bytes_of_two_bits() {
    let mut config = config();
    config["quantization_config"]["tensors"][NAME]["format"] = "LEVELS2".into();
    let catalog = open_strips(&config, 32 + 4 * 48).unwrap();
    check_promises(&catalog);
    let tensor = catalog.tensor(NAME).unwrap();
    assert_eq!((tensor.format, &*tensor.shape, tensor.len_bytes), (Format::Levels2, &[37, 48][..], 3 * 224));
    assert_eq!(catalog.tensor("blocks").unwrap().format, Format::Q4_0);
    // Half a strip can neither be read nor cut out.
    assert!(tensor.bytes_of_rows(&(16..37)).is_some() && tensor.bytes_of_rows(&(8..37)).is_none());
    for (strip, shape) in
        [(224, json!([37, 40])), (224, json!([49, 48])), (320, json!([37, 48])), (224, json!([37, 64]))]
    {
        config["quantization_config"]["tensors"][NAME]["shape"] = shape.clone();
        let error = refusal(open_strips(&config, strip)).to_string();
        assert!(error.contains(NAME), "{shape}: {error}");
    }
    // What every file says it must say even if no tensor of it is a trellis.
    config["quantization_config"].as_object_mut().unwrap().remove("codebook");
    let error = refusal(open_strips(&config, 224)).to_string();
    assert!(error.contains("quantization_config.codebook"), "{error}");
}
