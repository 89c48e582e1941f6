use proptest::prelude::*;

use super::*;

fn t(line: u32) -> Atom {
    Atom::Tensor(TensorAtom { t: vec![line, 0] })
}

fn written(line: u32, write: u32) -> Atom {
    Atom::Tensor(TensorAtom {
        t: vec![line, 0, write],
    })
}

fn text(text: &str) -> Atom {
    Atom::Text(text.to_owned())
}

fn line(operation: &str, atoms: Vec<Atom>, shape: &[u64]) -> Line {
    let outputs = vec![(shape.to_vec(), "float32".to_owned())];
    Line(operation.to_owned(), atoms, outputs)
}

fn output(place: Atom) -> Line {
    Line("output".to_owned(), vec![place], Vec::new())
}

fn traced(lines: &[Line]) -> Structure {
    let structure = canonical(lines, None);
    assert_eq!(structure.basis, Basis::Traced, "{structure:?}");
    structure
}

/// Two layers over an input: `head(relu(inner(x)))`, with `idle` lines between them.
fn two_layers(width: u64, idle: impl Fn(&mut Vec<Line>, u32) -> u32) -> Vec<Line> {
    let mut lines = vec![
        line("parameter", vec![], &[4, width]),
        line("parameter", vec![], &[width, 9]),
        line("input", vec![], &[8, 4]),
        line("aten.mm.default", vec![t(2), t(0)], &[8, width]),
    ];
    let inner = idle(&mut lines, 3);
    lines.push(line("aten.relu.default", vec![t(inner)], &[8, width]));
    let relu = lines.len() as u32 - 1;
    lines.push(line("aten.mm.default", vec![t(relu), t(1)], &[8, 9]));
    lines.push(output(t(relu + 1)));
    lines
}

fn plain(_: &mut Vec<Line>, inner: u32) -> u32 {
    inner
}

#[test]
fn what_does_nothing_moves_nothing() {
    let expected = traced(&two_layers(16, plain));
    assert_eq!((expected.operations, expected.tensors), (3, 2));
    let idle: [(&str, Vec<Atom>); 5] = [
        ("aten.clone.default", vec![]),
        (
            "aten.view.default",
            vec![text("("), Atom::Integer(-1), text(")")],
        ),
        ("aten.mul.Tensor", vec![Atom::Integer(1)]),
        ("aten.add.Tensor", vec![text("f0")]),
        (
            "aten._to_copy.default",
            vec![text("dtype="), text("torch.float32")],
        ),
    ];
    for (operation, rest) in idle {
        let padded = two_layers(16, |lines, inner| {
            let atoms = std::iter::once(t(inner)).chain(rest.clone()).collect();
            lines.push(line(operation, atoms, &[8, 16]));
            lines.len() as u32 - 1
        });
        assert_eq!(traced(&padded).text, expected.text, "{operation}");
    }
    // a result that nothing reads, with a weight that nothing else reads
    let unused = two_layers(16, |lines, inner| {
        lines.push(line("parameter", vec![], &[16, 16]));
        let weight = lines.len() as u32 - 1;
        lines.push(line("aten.mm.default", vec![t(inner), t(weight)], &[8, 16]));
        inner
    });
    assert_eq!(traced(&unused).text, expected.text);
    // a view by way of another
    let [detour, direct] = [true, false].map(|by_way| {
        two_layers(16, |lines, inner| {
            let mut at = inner;
            if by_way {
                lines.push(line("aten._unsafe_view.default", vec![t(at)], &[128]));
                at = lines.len() as u32 - 1;
            }
            lines.push(line("aten.view.default", vec![t(at)], &[2, 4, 16]));
            lines.len() as u32 - 1
        })
    });
    assert_eq!(traced(&detour).text, traced(&direct).text);
    assert_ne!(traced(&direct).text, expected.text);
}

#[test]
fn widths_wiring_and_ties_move_it() {
    let expected = traced(&two_layers(16, plain));
    assert_ne!(traced(&two_layers(17, plain)).digest, expected.digest);
    let residual = two_layers(16, |lines, inner| {
        lines.push(line("aten.add.Tensor", vec![t(inner), t(inner)], &[8, 16]));
        lines.len() as u32 - 1
    });
    assert_ne!(traced(&residual).digest, expected.digest);
    let square = |second| {
        vec![
            line("parameter", vec![], &[4, 4]),
            line("parameter", vec![], &[4, 4]),
            line("input", vec![], &[8, 4]),
            line("aten.mm.default", vec![t(2), t(0)], &[8, 4]),
            line("aten.mm.default", vec![t(3), t(second)], &[8, 4]),
            output(t(4)),
        ]
    };
    assert_ne!(traced(&square(0)).digest, traced(&square(1)).digest);
    assert_eq!(traced(&square(0)).tensors, 1);
}

#[test]
fn writes_are_part_of_the_flow() {
    let filled = |last: Atom| {
        vec![
            line("input", vec![], &[4]),
            line("aten.zeros.default", vec![], &[4]),
            line(
                "aten.select.int",
                vec![t(1), Atom::Integer(0), Atom::Integer(2)],
                &[],
            ),
            line("aten.copy_.default", vec![t(2), t(0)], &[]),
            output(last),
        ]
    };
    let (before, after) = (traced(&filled(t(1))), traced(&filled(written(1, 3))));
    assert_eq!(before.operations, 1);
    assert_eq!(after.operations, 3, "{}", after.text);
    assert!(after.text.ends_with("output %0@3\n"), "{}", after.text);
}

#[test]
fn a_listing_without_a_flow_falls_back_on_shapes() {
    let broken: [(&str, Vec<Line>); 5] = [
        ("no output", vec![line("parameter", vec![], &[3])]),
        ("not there", vec![line("aten.t.default", vec![t(0)], &[3])]),
        ("not there", vec![output(t(7))]),
        (
            "not there",
            vec![
                line("input", vec![], &[3]),
                output(Atom::Tensor(TensorAtom { t: vec![0, 1] })),
            ],
        ),
        ("control", vec![line("aten.\n", vec![], &[3])]),
    ];
    for (reason, lines) in broken {
        let structure = canonical(&lines, None);
        assert_eq!(structure.basis, Basis::ParameterShapes);
        let failure = structure.failure.unwrap();
        assert!(failure.contains(reason), "{reason}: {failure}");
    }
    let lines = [
        line("parameter", vec![], &[3, 4]),
        line("buffer", vec![], &[7]),
    ];
    let structure = canonical(&lines, Some("RuntimeError".to_owned()));
    assert_eq!(
        structure.text,
        "prism_structure.v1 parameter_shapes\nparameter float32[3,4]\nbuffer float32[7]\n"
    );
    assert_eq!(structure.digest, digest::sha256(structure.text.as_bytes()));
    assert_eq!(structure.family().len(), "arch-".len() + 16);
}

/// A random flow: every line reads one or two earlier ones.
fn flows() -> impl Strategy<Value = Vec<Line>> {
    let one = (any::<u32>(), any::<u32>(), 0_usize..4, 1_u64..4);
    (prop::collection::vec(one, 1..24), 1_usize..4).prop_map(|(steps, leaves)| {
        let mut lines: Vec<Line> = (0..leaves)
            .map(|number| line("parameter", vec![], &[number as u64 / 2 + 1]))
            .collect();
        lines.push(line("input", vec![], &[5]));
        for (left, right, kind, width) in steps {
            let count = lines.len() as u32;
            let (left, right) = (t(left % count), t(right % count));
            lines.push(match kind {
                0 => line("aten.add.Tensor", vec![left, right], &[width]),
                1 => line("aten.mm.default", vec![left, right], &[width]),
                2 => line("aten.sub.Tensor", vec![left, right], &[width]),
                _ => line("aten.relu.default", vec![left], &[width]),
            });
        }
        let last = lines.len() as u32 - 1;
        lines.push(output(t(last)));
        lines
    })
}

/// The same flow with one more line at `at`; what is read behind it is counted on.
fn with_line_at(lines: &[Line], at: usize, added: Line) -> Vec<Line> {
    let moved = |place: &Atom| match place {
        Atom::Tensor(tensor) => Atom::Tensor(TensorAtom {
            t: tensor
                .t
                .iter()
                .enumerate()
                .map(|(part, number)| number + u32::from(part != 1 && *number as usize >= at))
                .collect(),
        }),
        other => other.clone(),
    };
    let mut changed: Vec<Line> = lines
        .iter()
        .map(|line| {
            Line(
                line.0.clone(),
                line.1.iter().map(moved).collect(),
                line.2.clone(),
            )
        })
        .collect();
    changed.insert(at, added);
    changed
}

proptest! {
    #[test]
    fn unused_lines_and_the_order_of_a_sum_move_nothing(lines in flows(), at in any::<usize>()) {
        let expected = traced(&lines);
        let at = at % lines.len();
        let padded = with_line_at(&lines, at, line("parameter", vec![], &[99]));
        prop_assert_eq!(&traced(&padded).text, &expected.text);
        let mut swapped = lines.clone();
        for Line(operation, atoms, _) in &mut swapped {
            // which of two alike operands comes first is no structure either, but cannot always be seen
            if operation == "aten.add.Tensor" && atoms[0] != atoms[1] {
                atoms.reverse();
            }
        }
        let flow = Flow::of(&lines).unwrap();
        let is_told_apart = (0..lines.len()).all(|number| {
            let places: Vec<usize> = flow.reads(number).iter().map(|place| place.0).collect();
            places.len() < 2 || places[0] == places[1] || flow.hashes[places[0]] != flow.hashes[places[1]]
        });
        if is_told_apart {
            prop_assert_eq!(&traced(&swapped).text, &expected.text);
        }
    }

    #[test]
    fn a_width_that_the_output_depends_on_moves_it(lines in flows(), at in any::<usize>()) {
        let expected = traced(&lines);
        let flow = Flow::of(&lines).unwrap();
        let at = flow.order[at % flow.order.len()];
        let mut wider = lines.clone();
        wider[at].2[0].0[0] += 100;
        prop_assert_ne!(&traced(&wider).digest, &expected.digest);
    }

    #[test]
    fn no_listing_makes_it_panic(lines in prop::collection::vec(
        (prop_oneof![Just("aten.view.default"), Just("aten.add.Tensor"), Just("parameter"), Just("output")],
         prop::collection::vec(prop_oneof![
            prop::collection::vec(0_u32..6, 0..4).prop_map(|t| Atom::Tensor(TensorAtom { t })),
            any::<i64>().prop_map(Atom::Integer),
            "[a-z()\n]{0,3}".prop_map(Atom::Text),
         ], 0..4),
         prop::collection::vec((prop::collection::vec(any::<u64>(), 0..3), Just("float32".to_owned())), 0..3)),
        0..8,
    )) {
        let lines: Vec<Line> = lines.into_iter().map(|(name, atoms, outputs)| Line(name.to_owned(), atoms, outputs)).collect();
        canonical(&lines, None);
    }
}
