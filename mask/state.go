package mask

import (
	"fmt"
	"slices"
)

// star is the name that stands for all members or elements.
const star = "*"

// state says what the paths may still lead to from one place in a document.
// The paths are compiled to an automaton, so that a place has one state however
// many paths go through it. Where none does, there is no state: nil.
type state struct {
	end      bool   // a path ends here: what is found is masked
	names    []edge // where members of these names lead
	lengths  uint64 // lengthBit of each of names
	others   *state // where all other members lead
	elements *state // where elements of an array lead
}

type edge struct {
	name string // folded
	to   *state
}

func lengthBit(n int) uint64 { return 1 << min(n, 63) }

// maxStates bounds an automaton. Only long paths of "*" beside names come
// near, since each can be followed while others are not: five of 14 do, where
// 256 of the usual kind stay below a thousand.
const maxStates = 4096

// compile returns the state at the top of a document.
func compile(paths [][]string) (*state, error) {
	b := &builder{paths: paths, states: map[string]*state{}}
	var top []position
	for i := range paths {
		top = append(top, position{path: i})
	}
	s := b.state(top)
	if len(b.states) > maxStates {
		return nil, fmt.Errorf(`the paths lead to more than %d places; use fewer of them, or fewer "*"`, maxStates)
	}
	return s, nil
}

// builder makes states of sets of positions.
type builder struct {
	paths  [][]string
	states map[string]*state
}

// position is how far a path was followed.
type position struct {
	path, used int
}

// state returns the state of a set of positions.
func (b *builder) state(set []position) *state {
	if len(set) == 0 || len(b.states) > maxStates {
		return nil
	}
	for _, at := range set {
		if at.used == len(b.paths[at.path]) {
			return &state{end: true}
		}
	}
	key := fmt.Sprint(set) // positions are in the order of paths
	if s, ok := b.states[key]; ok {
		return s
	}
	s := &state{}
	b.states[key] = s
	for _, at := range set {
		name := b.paths[at.path][at.used]
		known := slices.ContainsFunc(s.names, func(e edge) bool { return e.name == name })
		if name != star && !known {
			s.names = append(s.names, edge{name, b.state(b.member(set, name))})
			s.lengths |= lengthBit(len(name))
		}
	}
	s.others = b.state(b.member(set, star))
	s.elements = b.state(b.element(set))
	return s
}

// member returns where a member of that name, or with "*" one that no path
// names, leads from set.
func (b *builder) member(set []position, name string) (next []position) {
	for _, at := range set {
		if n := b.paths[at.path][at.used]; n == name || n == star {
			next = append(next, position{at.path, at.used + 1})
		}
	}
	return next
}

// element returns where the elements of an array lead from set: "*" is used
// up, a name is not, and nor is what begins a path, since the array may be a
// list of what the paths describe.
func (b *builder) element(set []position) (next []position) {
	for _, at := range set {
		isStar := b.paths[at.path][at.used] == star
		if at.used == 0 || !isStar {
			next = add(next, at)
		}
		if isStar {
			next = add(next, position{at.path, at.used + 1})
		}
	}
	return next
}

func add(set []position, at position) []position {
	if slices.Contains(set, at) {
		return set
	}
	return append(set, at)
}
