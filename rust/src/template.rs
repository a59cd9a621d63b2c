//! Chat templates, through the `minijinja` crate with the settings that transformers gives Jinja.

use crate::boundary::{bytes, guard, on_deep_stack, text, Bytes, Failure, FAILED, REFUSED, TOO_MUCH};
use crate::{json, meter, moment};
use minijinja::machinery::{eval, make_string_output, tokenize, CompiledTemplate, TemplateConfig, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use std::sync::{Arc, Mutex};

const MAX_CHAIN: usize = 4000;

/// # Safety
/// Every pointer points to as many bytes as its size says (`variables` may be null); `out` and `error` to writable memory.
#[no_mangle]
pub unsafe extern "C" fn lithe_template_render(
    source: *const u8,
    source_size: usize,
    variables: *const u8,
    variables_size: usize,
    probe: bool,
    out: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    guard(error, || {
        let source = text(source, source_size)?;
        let variables = if variables.is_null() { None } else { Some(bytes(variables, variables_size)) };
        // The compiler and the engine recurse as deeply as a template nests.
        out.write(Bytes::from_vec(on_deep_stack(|| render(source, variables, probe))?.into_bytes()));
        Ok(())
    })
}

fn render(source: &str, variables: Option<&[u8]>, probe: bool) -> Result<String, Failure> {
    let source = replace_generation_tags(source);
    let compiled = compile(&source)?;
    let Some(variables) = variables else {
        return Ok(String::new());
    };
    let root = json::value_of(serde_json::from_slice(variables).map_err(Failure::from)?);
    let refusal = Arc::new(Mutex::new(None));
    let mut environment = environment(&refusal);
    let programs: Vec<_> = std::iter::once(&compiled.instructions).chain(compiled.blocks.values()).collect();
    let names = meter::names(&programs);
    meter::install(&names, probe, &mut environment);
    let instructions = meter::guarded(&compiled.instructions, &names);
    let blocks = compiled.blocks.iter().map(|(name, block)| (*name, meter::guarded(block, &names))).collect();
    environment.set_fuel(Some(meter::fuel(&compiled.instructions, probe)));
    let mut text = String::new();
    let done = eval(&environment, &instructions, root, &blocks, &mut make_string_output(&mut text), AutoEscape::None);
    let result = done.map(|_| ()).map_err(|cause| Failure { code: code_of(&cause), sentence: explain(&cause) });
    if let Some(sentence) = refusal.lock().unwrap().take() {
        return Err(Failure { code: REFUSED, sentence });
    }
    result?;
    Ok(text)
}

fn code_of(cause: &Error) -> i32 {
    let exceeded = cause.kind() == ErrorKind::OutOfFuel || meter::exceeded();
    if exceeded {
        TOO_MUCH
    } else {
        FAILED
    }
}

fn compile(source: &str) -> Result<CompiledTemplate<'_>, Failure> {
    refuse_chains(source)?;
    let syntax_config = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(Failure::from)?;
    let config = TemplateConfig { syntax_config, default_auto_escape: Arc::new(|_| AutoEscape::None) };
    CompiledTemplate::new("template", source, &config).map_err(|cause| explain(&cause).into())
}

/// Chains like `a + a + a ...` and `elif` after `elif` nest one level a link, and the engine does not bound that.
fn refuse_chains(source: &str) -> Result<(), Failure> {
    let (mut tokens, mut elifs) = (0, 0);
    for entry in tokenize(source, false, SyntaxConfig::default()) {
        match entry.map_err(|cause| explain(&cause))?.0 {
            Token::VariableStart | Token::BlockStart => tokens = 0,
            Token::Ident("elif") => elifs += 1,
            _ => tokens += 1,
        }
        if tokens > MAX_CHAIN || elifs > MAX_CHAIN {
            return Err(Failure::from(format!("a chain has more than {MAX_CHAIN} links")));
        }
    }
    Ok(())
}

/// One line: the kind, the detail, the line of the template.
fn explain(cause: &Error) -> String {
    let mut sentence = match cause.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".to_string(),
        kind => kind.to_string(),
    };
    if let Some(detail) = cause.detail() {
        sentence += &format!(": {detail}");
    }
    if let Some(line) = cause.line() {
        sentence += &format!(" (line {line})");
    }
    sentence.replace('\n', " ")
}

fn environment<'a>(refusal: &Arc<Mutex<Option<String>>>) -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_recursion_limit(100);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", json::to_json);
    environment.add_function("strftime_now", |format: String| moment::strftime_now(&format));
    let refusal = refusal.clone();
    environment.add_function("raise_exception", move |message: String| -> Result<Value, Error> {
        *refusal.lock().unwrap() = Some(message.clone());
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    // Not Jinja2's; they would only widen what must be bounded.
    for name in ["chain", "zip", "pprint"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    environment
}

/// `{% generation %}` marks the assistant's tokens for training and writes nothing. A block without effect takes its
/// place, so that the whitespace around the tags is treated as before. Each tag is looked at once.
fn replace_generation_tags(source: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c == '-' || c == '+';
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let inner = &rest[start + 2..];
        result.push_str(&rest[..start + 2]);
        rest = inner;
        let word = inner.trim_start_matches(blank);
        for (name, block) in [("generation", " if true "), ("endgeneration", " endif ")] {
            let Some(after) = word.strip_prefix(name) else { continue };
            let end = after.trim_start_matches(blank);
            if end.starts_with("%}") {
                result.push_str(&inner[..inner.len() - word.len()]);
                result.push_str(block);
                result.push_str(&after[..after.len() - end.len()]);
                rest = end;
            }
        }
    }
    result.push_str(rest);
    result
}
