//! A source file that holds all its mutants, each behind a switch.
//!
//! Every change is made by text that is put in before and after an expression, so that changes within changes
//! need nothing of their own. No operand is written twice: the text stays of one size.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::list::Mutant;
use crate::step::Stop;

/// A file with its switches.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    pub(crate) text: String,
    /// What was put in, and the mutants that it is for.
    pub(crate) pieces: Vec<(Range<usize>, Vec<usize>)>,
    /// What a piece was put around, with the piece.
    pub(crate) regions: Vec<(Range<usize>, Vec<usize>)>,
    pub(crate) placed: BTreeSet<usize>,
    /// These cannot compile: `||` beside a `let`.
    pub(crate) impossible: BTreeSet<usize>,
}

/// The mutants of one file, each with its number.
pub(crate) fn switch(text: &str, mutants: &[(usize, &Mutant)]) -> Result<Switched, Stop> {
    let file = syn::parse_file(text).map_err(|error| Stop::Because(format!("cannot parse: {error}")))?;
    let mut wanted = Wanted::new();
    for (number, mutant) in mutants {
        wanted.entry((mutant.genre.as_str(), mutant.start)).or_default().push((*number, *mutant));
    }
    let mut places = Places {
        text,
        wanted,
        edits: Vec::new(),
        constant: 0,
        chained: BTreeSet::new(),
        found: Switched::default(),
    };
    places.visit_file(&file);
    let Places { edits, mut found, .. } = places;
    render(text, edits, &mut found);
    Ok(found)
}

type Piece = (String, Vec<usize>);

/// Text in place of a range, which is empty where it is only put in.
#[derive(Debug)]
struct Edit {
    at: Range<usize>,
    /// Where several begin at one place: the ends of what is inside come first, what is outside begins first.
    rank: (u8, isize, isize),
    pieces: Vec<Piece>,
    region: Option<usize>,
}

fn render(text: &str, mut edits: Vec<Edit>, found: &mut Switched) {
    edits.sort_by_key(|edit| (edit.at.start, edit.rank));
    let mut read = 0;
    for edit in edits {
        found.text.push_str(text.get(read..edit.at.start).unwrap_or_default());
        read = read.max(edit.at.end);
        let start = found.text.len();
        for (piece, mutants) in edit.pieces {
            let start = found.text.len();
            found.text.push_str(&piece);
            found.pieces.push((start..found.text.len(), mutants));
        }
        if let Some(region) = edit.region.and_then(|region| found.regions.get_mut(region)) {
            let begins = if region.0.end == 0 { start } else { region.0.start };
            region.0 = begins..found.text.len();
        }
    }
    found.text.push_str(text.get(read..).unwrap_or_default());
}

/// By their genre, and where they begin.
type Wanted<'a> = HashMap<(&'a str, (usize, usize)), Vec<(usize, &'a Mutant)>>;

struct Places<'a> {
    text: &'a str,
    wanted: Wanted<'a>,
    edits: Vec<Edit>,
    /// How many constants and constant functions are around: no switch can be read there.
    constant: usize,
    /// Where the `&&` are that stand beside a `let`.
    chained: BTreeSet<(usize, usize)>,
    found: Switched,
}

fn place(at: LineColumn) -> (usize, usize) {
    (at.line, at.column + 1)
}

fn is(number: usize) -> String {
    format!("crate::mutant::is({number})")
}

impl Places<'_> {
    /// The mutants that begin here, with what they put there; none in a constant.
    fn replacements(&self, genre: &str, at: Span) -> Vec<(usize, String)> {
        let here = self.wanted.get(&(genre, place(at.start()))).filter(|_| self.constant == 0);
        here.into_iter().flatten().map(|(number, mutant)| (*number, mutant.replacement.clone())).collect()
    }

    fn cut(&mut self, at: Range<usize>, text: &str, numbers: &[usize]) {
        let pieces = vec![(text.to_owned(), numbers.to_vec())];
        self.edits.push(Edit { at, rank: (1, 0, 0), pieces, region: None });
    }

    fn wrap(&mut self, around: Range<usize>, before: &str, after: Vec<Piece>, numbers: &[usize]) {
        let length = isize::try_from(around.len()).unwrap_or(isize::MAX);
        let turn = isize::try_from(self.edits.len()).unwrap_or(isize::MAX);
        let region = Some(self.found.regions.len());
        self.found.regions.push((0..0, numbers.to_vec()));
        let before = vec![(before.to_owned(), numbers.to_vec())];
        let (start, end) = (around.start..around.start, around.end..around.end);
        self.edits.push(Edit { at: start, rank: (2, -length, turn), pieces: before, region });
        self.edits.push(Edit { at: end, rank: (0, length, -turn), pieces: after, region });
        self.found.placed.extend(numbers);
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let Some(first) = block.stmts.first() else { return };
        // The type behind such an `impl` is that of the body, and there is one.
        let hidden = matches!(&signature.output, syn::ReturnType::Type(_, of)
            if self.text.get(of.span().byte_range()).is_some_and(|of| of.contains("impl ")));
        if signature.constness.is_some() || hidden {
            return;
        }
        let open = block.brace_token.span.open().byte_range().end;
        for (number, value) in self.replacements("FnValue", first.span()) {
            self.cut(open..open, &format!(" if {} {{ return {value}; }}\n", is(number)), &[number]);
            self.found.placed.insert(number);
        }
    }

    /// Each operand is computed once, and then one of the operators is taken.
    fn operator(&mut self, binary: &syn::ExprBinary, changes: &[(usize, String)]) {
        use syn::BinOp as Op;
        let around = binary.span().byte_range();
        let operator = binary.op.span().byte_range();
        let shown = self.text.get(operator.clone()).unwrap_or_default().to_owned();
        let numbers: Vec<usize> = changes.iter().map(|(number, _)| *number).collect();
        match (&binary.op, numbers.as_slice()) {
            (Op::And(_), [number]) => {
                let end = format!("}} else {{ {} }})", is(*number));
                self.cut(operator, &format!(") != {} {{", is(*number)), &numbers);
                self.wrap(around, "(if (", vec![(end, numbers.clone())], &numbers);
            }
            (Op::Or(_), [number]) => {
                let end = format!("}} else {{ !{} }})", is(*number));
                self.cut(operator, &format!(") == {} {{", is(*number)), &numbers);
                self.wrap(around, "(if (", vec![(end, numbers.clone())], &numbers);
            }
            (Op::Eq(_) | Op::Ne(_) | Op::Lt(_) | Op::Le(_) | Op::Gt(_) | Op::Ge(_), _) => {
                self.cut(operator, "), &(", &numbers);
                let end = alternatives(")) { (l, r) => ", "l", &shown, " })", changes);
                self.wrap(around, "(match (&(", end, &numbers);
            }
            (op, _) if is_assignment(op) => {
                let left = self.text.get(binary.left.span().byte_range()).unwrap_or_default().to_owned();
                self.cut(around.start..binary.right.span().byte_range().start, "match (", &numbers);
                let end = alternatives(") { r => ", &left, &shown, " }", changes);
                self.edits.push(Edit {
                    at: around.end..around.end,
                    rank: (0, isize::MAX, 0),
                    pieces: end,
                    region: None,
                });
                self.found.placed.extend(&numbers);
            }
            _ => {
                self.cut(operator, "), (", &numbers);
                let end = alternatives(")) { (l, r) => ", "l", &shown, " })", changes);
                self.wrap(around, "(match ((", end, &numbers);
            }
        }
    }

    fn guard(&mut self, arm: &syn::Arm) {
        let guard = if let syn::Pat::Guard(pattern) = &arm.pat { Some(&*pattern.guard) } else { None };
        for (number, _) in self.replacements("MatchArm", arm.span()) {
            match guard {
                Some(guard) => {
                    let (open, close) = if has_let(guard) { ("", "") } else { ("(", ")") };
                    let before = format!("!{} && {open}", is(number));
                    self.wrap(
                        guard.span().byte_range(),
                        &before,
                        vec![(close.to_owned(), vec![number])],
                        &[number],
                    );
                }
                None => {
                    let end = arm.pat.span().byte_range().end;
                    self.cut(end..end, &format!(" if !{}", is(number)), &[number]);
                }
            }
            self.found.placed.insert(number);
        }
        let Some(guard) = guard.filter(|guard| !has_let(guard)) else { return };
        for (number, value) in self.replacements("MatchArmGuard", guard.span()) {
            let before = if value == "true" {
                format!("({} || (", is(number))
            } else {
                format!("(!{} && (", is(number))
            };
            self.wrap(guard.span().byte_range(), &before, vec![("))".to_owned(), vec![number])], &[number]);
        }
    }

    fn field(&mut self, field: &syn::FieldValue, rest: &syn::Expr) {
        let (syn::Member::Named(name), Some(rest)) = (&field.member, self.text.get(rest.span().byte_range()))
        else {
            return;
        };
        let label = if field.colon_token.is_none() { format!("{name}: ") } else { String::new() };
        let rest = rest.to_owned();
        for (number, _) in self.replacements("StructField", field.span()) {
            let before = format!("{label}if {} {{ ({rest}).{name} }} else {{ ", is(number));
            self.wrap(
                field.expr.span().byte_range(),
                &before,
                vec![(" }".to_owned(), vec![number])],
                &[number],
            );
        }
    }

    fn in_constant(&mut self, constant: bool, look: impl FnOnce(&mut Self)) {
        self.constant += usize::from(constant);
        look(self);
        self.constant -= usize::from(constant);
    }
}

fn alternatives(open: &str, left: &str, shown: &str, close: &str, changes: &[(usize, String)]) -> Vec<Piece> {
    let all: Vec<usize> = changes.iter().map(|(number, _)| *number).collect();
    let mut pieces = vec![(open.to_owned(), all.clone())];
    for (number, operator) in changes {
        pieces.push((format!("if {} {{ {left} {operator} r }} else ", is(*number)), vec![*number]));
    }
    pieces.push((format!("{{ {left} {shown} r }}{close}"), all));
    pieces
}

fn is_assignment(op: &syn::BinOp) -> bool {
    use syn::BinOp as Op;
    matches!(
        op,
        Op::AddAssign(_)
            | Op::SubAssign(_)
            | Op::MulAssign(_)
            | Op::DivAssign(_)
            | Op::RemAssign(_)
            | Op::BitXorAssign(_)
            | Op::BitAndAssign(_)
            | Op::BitOrAssign(_)
            | Op::ShlAssign(_)
            | Op::ShrAssign(_)
    )
}

/// Whether one of those joined by `&&` is a `let`.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) if matches!(binary.op, syn::BinOp::And(_)) => {
            has_let(&binary.left) || has_let(&binary.right)
        }
        _ => false,
    }
}

impl<'a> Visit<'a> for Places<'_> {
    fn visit_item_fn(&mut self, of: &'a syn::ItemFn) {
        self.function(&of.sig, &of.block);
        self.in_constant(of.sig.constness.is_some(), |this| visit::visit_item_fn(this, of));
    }

    fn visit_impl_item_fn(&mut self, of: &'a syn::ImplItemFn) {
        self.function(&of.sig, &of.block);
        self.in_constant(of.sig.constness.is_some(), |this| visit::visit_impl_item_fn(this, of));
    }

    fn visit_trait_item_fn(&mut self, of: &'a syn::TraitItemFn) {
        of.default.iter().for_each(|block| self.function(&of.sig, block));
        visit::visit_trait_item_fn(self, of);
    }

    fn visit_item_const(&mut self, of: &'a syn::ItemConst) {
        self.in_constant(true, |this| visit::visit_item_const(this, of));
    }

    fn visit_impl_item_const(&mut self, of: &'a syn::ImplItemConst) {
        self.in_constant(true, |this| visit::visit_impl_item_const(this, of));
    }

    fn visit_item_static(&mut self, of: &'a syn::ItemStatic) {
        self.in_constant(true, |this| visit::visit_item_static(this, of));
    }

    fn visit_expr_binary(&mut self, binary: &'a syn::ExprBinary) {
        let at = binary.op.span();
        let changes = self.replacements("BinaryOperator", at);
        let and = matches!(binary.op, syn::BinOp::And(_));
        let chained = and
            && (self.chained.contains(&place(at.start())) || has_let(&binary.left) || has_let(&binary.right));
        if chained {
            self.found.impossible.extend(changes.iter().map(|(number, _)| number));
            for side in [&*binary.left, &*binary.right] {
                if let syn::Expr::Binary(inner) = side
                    && matches!(inner.op, syn::BinOp::And(_))
                {
                    self.chained.insert(place(inner.op.span().start()));
                }
            }
        } else if !changes.is_empty() {
            self.operator(binary, &changes);
        }
        // What is written twice there stays as it is.
        if is_assignment(&binary.op) && !changes.is_empty() {
            self.visit_expr(&binary.right);
        } else {
            visit::visit_expr_binary(self, binary);
        }
    }

    fn visit_expr_unary(&mut self, unary: &'a syn::ExprUnary) {
        for (number, _) in self.replacements("UnaryOperator", unary.op.span()) {
            let around = unary.span().byte_range();
            let operator = unary.op.span().byte_range();
            let shown = self.text.get(operator.clone()).unwrap_or_default();
            let end = format!(") {{ v => if {} {{ v }} else {{ {shown}v }} }})", is(number));
            self.cut(operator, "", &[number]);
            self.wrap(around, "(match (", vec![(end, vec![number])], &[number]);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'a syn::Arm) {
        self.guard(arm);
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, made: &'a syn::ExprStruct) {
        if let Some(rest) = &made.rest {
            made.fields.iter().for_each(|field| self.field(field, rest));
        }
        visit::visit_expr_struct(self, made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched(text: &str, genre: &str, start: (usize, usize), replacements: &[&str]) -> String {
        let mutant = |replacement: &&str| Mutant {
            name: String::new(),
            file: String::new(),
            function: String::new(),
            genre: genre.to_owned(),
            replacement: (*replacement).to_owned(),
            start,
            end: start,
        };
        let all: Vec<Mutant> = replacements.iter().map(mutant).collect();
        let all: Vec<_> = all.iter().enumerate().collect();
        switch(text, &all).unwrap().text.replace("crate::mutant::", "")
    }

    #[test]
    fn a_function_may_return_something_else_at_once() {
        let text = switched("fn f() -> u8 {\n    g()\n}", "FnValue", (2, 5), &["0", "1"]);
        assert_eq!(text, "fn f() -> u8 { if is(0) { return 0; }\n if is(1) { return 1; }\n\n    g()\n}");
        assert_eq!(switched("const fn f() {\n g() }", "FnValue", (2, 2), &["()"]), "const fn f() {\n g() }");
    }

    #[test]
    fn operands_are_computed_once() {
        let text = switched("fn f() { a() < b() }", "BinaryOperator", (1, 14), &[">"]);
        assert_eq!(
            text,
            "fn f() { (match (&(a() ), &( b())) { (l, r) => if is(0) { l > r } else { l < r } }) }"
        );
        let text = switched("fn f() { a() && b() }", "BinaryOperator", (1, 14), &["||"]);
        assert_eq!(text, "fn f() { (if (a() ) != is(0) { b()} else { is(0) }) }");
        let text = switched("fn f() { a += b(); }", "BinaryOperator", (1, 12), &["-="]);
        assert_eq!(text, "fn f() { match (b()) { r => if is(0) { a -= r } else { a += r } }; }");
    }

    #[test]
    fn what_stands_beside_a_let_has_no_switch() {
        let text = "fn f() { if let A = a() && b() && c() {} }";
        let and = |start| switched(text, "BinaryOperator", start, &["||"]);
        assert_eq!((and((1, 25)), and((1, 32))), (text.to_owned(), text.to_owned()));
    }

    #[test]
    fn arms_guards_and_fields_have_switches() {
        let arms = "fn f() { match a() { A => b(), C if d => e(), _ => g() } }";
        let text = switched(arms, "MatchArm", (1, 22), &[""]);
        assert_eq!(text, "fn f() { match a() { A if !is(0) => b(), C if d => e(), _ => g() } }");
        let text = switched(arms, "MatchArmGuard", (1, 37), &["true", "false"]);
        assert!(text.contains("C if (is(0) || ((!is(1) && (d)))) =>"), "{text}");
        let text = switched("fn f() { A { b, ..c } }", "StructField", (1, 14), &[""]);
        assert_eq!(text, "fn f() { A { b: if is(0) { (c).b } else { b }, ..c } }");
        let text = switched("fn f() { !a() }", "UnaryOperator", (1, 10), &[""]);
        assert_eq!(text, "fn f() { (match (a()) { v => if is(0) { v } else { !v } }) }");
    }
}
