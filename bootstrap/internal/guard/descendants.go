package guard

// A Process has what the search for descendants needs to know of a process.
type Process struct {
	PID, Parent int
	Dead        bool // a zombie: it only waits for its parent
}

// descendants returns every live process below root, parents before children,
// leaving out those in except (but not what is below them).
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
