package guard

// A Process has the facts about a process that the search for descendants needs.
type Process struct {
	PID, Parent int
	Dead        bool // a zombie: it has ended, and its parent has not reaped it
}

// descendants returns every live process below root, parents before children. It leaves out
// the processes in except, but not their descendants.
func descendants(all []Process, root int, except ...int) []int {
	below := make(map[int][]Process)
	for _, p := range all {
		below[p.Parent] = append(below[p.Parent], p)
	}
	var found []int
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
	next:
		for _, p := range below[queue[0]] {
			if seen[p.PID] {
				continue
			}
			seen[p.PID] = true
			queue = append(queue, p.PID)
			for _, e := range except {
				if p.PID == e {
					continue next
				}
			}
			if !p.Dead {
				found = append(found, p.PID)
			}
		}
	}
	return found
}
