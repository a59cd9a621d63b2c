//! Bounds on what a hostile template can make: steps, bytes, nesting.
//!
//! Fuel bounds the steps, but one step can double a string or a list. So every operation that makes a value out of
//! values (`+`, `*`, `~`, lists, maps, filters, methods) is turned into a call that measures what goes in and comes out.

use minijinja::escape_formatter;
use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Object, Tuple, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, State, Value};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MAX_FUEL: usize = 2_000_000;
/// Of one value, a container counted with all that is in it.
const MAX_VALUE_BYTES: usize = 4 << 20;
/// Of all values ever made, and of all that was looked at to measure them.
const MAX_TOTAL_BYTES: usize = 256 << 20;
const MAX_DEPTH: usize = 64;
const MAX_WIDTH: i64 = 10_000;
/// As many operands as an instruction can name; longer literals are bounded by the template's own length.
const MAX_OPERANDS: usize = 60_000;
const NODE_BYTES: usize = 16;
const MAX_TIME: Duration = Duration::from_secs(10);
/// A probe renders a few short messages: what it may make is divided by this.
const PROBE_DIVISOR: usize = 16;
const MAX_PROBE_TIME: Duration = Duration::from_secs(2);

pub struct Meter {
    max_total_bytes: usize,
    max_time: Duration,
    spent: AtomicUsize,
    start: Instant,
}

impl Meter {
    fn new(probe: bool) -> Meter {
        Meter {
            max_total_bytes: MAX_TOTAL_BYTES / divisor(probe),
            max_time: if probe { MAX_PROBE_TIME } else { MAX_TIME },
            spent: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }
}

fn divisor(probe: bool) -> usize {
    if probe {
        PROBE_DIVISOR
    } else {
        1
    }
}

thread_local! {
    /// Each rendering has its own thread.
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread's template wanted more than it may have.
pub fn exceeded() -> bool {
    EXCEEDED.with(Cell::get)
}

fn too_much(what: &str) -> Error {
    EXCEEDED.with(|flag| flag.set(true));
    Error::new(ErrorKind::InvalidOperation, what.to_string())
}

impl Meter {
    fn charge(&self, size: usize) -> Result<(), Error> {
        let spent = self.spent.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if spent > self.max_total_bytes || self.start.elapsed() > self.max_time {
            return Err(too_much("it makes too much text or takes too long"));
        }
        Ok(())
    }

    /// The bytes of a value, containers as trees.
    fn measure(&self, value: &Value) -> Result<usize, Error> {
        let mut left = MAX_VALUE_BYTES;
        let size = walk(value, MAX_DEPTH, &mut left).map(|()| MAX_VALUE_BYTES - left)?;
        self.charge(size)?;
        Ok(size)
    }

    fn measure_all(&self, values: &[Value]) -> Result<usize, Error> {
        values.iter().try_fold(0, |sum, value| Ok(sum + self.measure(value)?))
    }
}

fn walk(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    let own = NODE_BYTES + value.as_str().map_or(0, str::len);
    *left = left.checked_sub(own).ok_or_else(|| too_much("a value grows too large"))?;
    if value.kind() == ValueKind::Iterable {
        // Made as it is read; what counts is how much there will be.
        let size = value.len().unwrap_or(0).saturating_mul(NODE_BYTES);
        *left = left.checked_sub(size).ok_or_else(|| too_much("a value grows too large"))?;
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        return Ok(());
    }
    if depth == 0 {
        return Err(too_much("values are nested too deeply"));
    }
    let is_map = value.kind() == ValueKind::Map;
    for item in value.try_iter()? {
        if is_map {
            walk(&value.get_item(&item)?, depth - 1, left)?;
        }
        walk(&item, depth - 1, left)?;
    }
    Ok(())
}

/// What an instruction did, now done by a function that measures.
#[derive(Debug, Clone)]
pub enum Step {
    Binary(&'static str),
    List,
    Tuple,
    Map,
    Function(String),
    Filter(String),
    Method(String),
    Store,
}

struct Guard {
    step: Step,
    meter: Arc<Meter>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}", self.step)
    }
}

impl Object for Guard {
    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let size = self.meter.measure_all(args)?;
        self.foresee(args, size)?;
        let result = match &self.step {
            Step::Binary("a % b") if args[0].as_str().is_some() => {
                let mut operands = vec![args[0].clone()];
                match args[1].kind() {
                    ValueKind::Seq => operands.extend(args[1].try_iter()?),
                    _ => operands.push(args[1].clone()),
                }
                state.apply_filter("format", &operands)?
            }
            Step::Binary(expression) => {
                let expression = state.env().compile_expression(expression)?;
                expression.eval(context! { a => &args[0], b => &args[1] })?
            }
            Step::List => Value::from(args.to_vec()),
            Step::Map => Value::from_pairs(args.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()))),
            Step::Tuple => Value::from_object(Tuple::from(args.to_vec())),
            Step::Function(name) => match state.env().globals().find(|entry| entry.0 == name) {
                Some((_, function)) => function.call(state, args)?,
                None => return Err(Error::from(ErrorKind::UnknownFunction)),
            },
            Step::Filter(name) => state.apply_filter(name, args)?,
            Step::Method(name) => args[0].call_method(state, name, &args[1..])?,
            Step::Store => {
                refuse_namespace(&args[0], MAX_DEPTH)?;
                args[0].clone()
            }
        };
        self.meter.measure(&result)?;
        Ok(result)
    }
}

impl Guard {
    /// Refuses what would be too large before it is made: operations whose result is a product of their operands.
    fn foresee(&self, args: &[Value], size: usize) -> Result<(), Error> {
        let product = match &self.step {
            Step::Binary("a * b") => {
                let number = |value: &Value| value.as_i64().map_or(1, |n| n.unsigned_abs() as usize);
                size.saturating_mul(number(&args[0])).saturating_mul(number(&args[1]))
            }
            Step::Binary("a % b") => {
                refuse_wide(args)?;
                0
            }
            Step::Filter(name) | Step::Method(name) => match name.as_str() {
                "replace" => product_of(args.first(), args.get(2)),
                "join" => product_of(args.first(), args.get(1)),
                "indent" | "format" | "batch" | "slice" | "map" | "round" => {
                    refuse_wide(args)?;
                    0
                }
                _ => 0,
            },
            _ => 0,
        };
        if product > MAX_VALUE_BYTES {
            return Err(too_much("a value grows too large"));
        }
        self.meter.charge(product)
    }
}

fn product_of(a: Option<&Value>, b: Option<&Value>) -> usize {
    let size = |value: Option<&Value>| match value {
        None => 0,
        Some(value) => value.as_str().map_or_else(|| value.len().unwrap_or(MAX_VALUE_BYTES), |text| text.len() + 1),
    };
    // A separator or replacement of one letter is within what was measured already.
    if size(b) <= 2 {
        0
    } else {
        size(a).saturating_mul(size(b))
    }
}

/// Numbers as widths, given as arguments or written in a format string.
fn refuse_wide(args: &[Value]) -> Result<(), Error> {
    for value in args {
        let digits =
            |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() > 4) || text.contains('*');
        let wide = value.as_i64().is_some_and(|n| n > MAX_WIDTH) || value.as_str().is_some_and(digits);
        if wide {
            return Err(too_much("a width is too large"));
        }
    }
    Ok(())
}

/// A namespace within a namespace could hold itself, and whatever walks it would never end.
fn refuse_namespace(value: &Value, depth: usize) -> Result<(), Error> {
    if value.as_object().is_some_and(|object| object.type_name().ends_with("Namespace")) {
        return Err(too_much("a namespace cannot be stored in a namespace"));
    }
    if depth > 0 && matches!(value.kind(), ValueKind::Seq | ValueKind::Map) {
        for item in value.try_iter()? {
            let held = if value.kind() == ValueKind::Map { value.get_item(&item)? } else { item };
            refuse_namespace(&held, depth - 1)?;
        }
    }
    Ok(())
}

/// Steps that a template may take. Literal text costs one step whatever its length, so long literals get fewer steps.
pub fn fuel(instructions: &Instructions, probe: bool) -> u64 {
    let mut longest = 1;
    let mut index = 0;
    while let Some(instruction) = instructions.get(index) {
        if let Instruction::EmitRaw(text) = instruction {
            longest = longest.max(text.len());
        }
        index += 1;
    }
    ((MAX_TOTAL_BYTES / longest).min(MAX_FUEL) / divisor(probe)) as u64
}

/// The names of guarding functions, which must live as long as the programs that call them. No template can spell them.
pub fn names(programs: &[&Instructions]) -> Vec<(String, Step)> {
    let mut named = Vec::new();
    for program in programs {
        for index in 0.. {
            let Some(instruction) = program.get(index) else { break };
            if let Some((step, _)) = step_of(instruction) {
                named.push((format!("%{step:?}"), step));
            }
            if let Instruction::SetAttr(_) = instruction {
                named.push((format!("%{:?}", Step::Store), Step::Store));
            }
        }
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.dedup_by(|a, b| a.0 == b.0);
    named
}

/// Adds the guarding functions, and a formatter that measures what is written, to the environment.
pub fn install(names: &[(String, Step)], probe: bool, environment: &mut Environment<'_>) {
    let meter = Arc::new(Meter::new(probe));
    for (name, step) in names {
        let guard = Guard { step: step.clone(), meter: meter.clone() };
        environment.add_global(name.clone(), Value::from_object(guard));
    }
    environment.set_formatter(move |out, state, value| {
        meter.measure(value)?;
        escape_formatter(out, state, value)
    });
}

/// The step that an instruction takes and the number of its operands (absent: the stack says).
fn step_of(instruction: &Instruction) -> Option<(Step, Option<u16>)> {
    let count = |n: &Option<usize>| n.map(|n| n as u16);
    Some(match instruction {
        Instruction::Add => (Step::Binary("a + b"), Some(2)),
        Instruction::Mul => (Step::Binary("a * b"), Some(2)),
        Instruction::Rem => (Step::Binary("a % b"), Some(2)),
        Instruction::StringConcat => (Step::Binary("a ~ b"), Some(2)),
        Instruction::BuildList(n) if n.is_none_or(|n| n <= MAX_OPERANDS) => (Step::List, count(n)),
        Instruction::BuildTuple(n) if n.is_none_or(|n| n <= MAX_OPERANDS) => (Step::Tuple, count(n)),
        Instruction::BuildMap(n) if *n * 2 <= MAX_OPERANDS => (Step::Map, Some(*n as u16 * 2)),
        Instruction::ApplyFilter(name, n, _) => (Step::Filter(name.to_string()), *n),
        Instruction::CallMethod(name, n) => (Step::Method(name.to_string()), *n),
        Instruction::CallFunction(name @ ("dict" | "namespace"), n) => (Step::Function(name.to_string()), *n),
        _ => return None,
    })
}

/// The same program with measured steps. A value is measured before it is stored in a namespace, which takes an
/// instruction more, so jumps move.
pub fn guarded<'p>(program: &'p Instructions<'p>, names: &'p [(String, Step)]) -> Instructions<'p> {
    let name_of = |step: &Step| {
        let name = format!("%{step:?}");
        names.iter().find(|entry| entry.0 == name).map_or("", |entry| entry.0.as_str())
    };
    let all: Vec<&Instruction> = (0..).map_while(|index| program.get(index)).collect();
    // `{% set ns.x = value %}` compiles to: value, Lookup("ns"), SetAttr("x").
    let stores = |index: usize| matches!(all.get(index + 1), Some(Instruction::SetAttr(_)));
    let mut moved = Vec::with_capacity(all.len() + 1);
    let mut next = 0;
    for index in 0..=all.len() {
        moved.push(next as u32);
        next += 1 + usize::from(stores(index));
    }
    let mut result = Instructions::new(program.name(), program.source());
    for (index, instruction) in all.iter().enumerate() {
        let line = program.get_line(index as u32).unwrap_or(0).min(usize::from(u16::MAX)) as u16;
        if stores(index) {
            result.add_with_line(Instruction::CallFunction(name_of(&Step::Store), Some(1)), line);
        }
        let mut copy = match step_of(instruction) {
            Some((step, count)) => Instruction::CallFunction(name_of(&step), count),
            None => (*instruction).clone(),
        };
        if let Instruction::Iterate(target)
        | Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::BuildMacro(_, target, _) = &mut copy
        {
            *target = moved[(*target as usize).min(all.len())];
        }
        result.add_with_line(copy, line);
    }
    result
}
