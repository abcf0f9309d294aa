package contexts

// SharersOf returns how many callers share runs of a service's SingleFlight methods in the local
// context.
func SharersOf[T any](s *Service[T], self *Node) int { return s.s.in(self.self).runs.Callers() }

// HomesOf returns in how many contexts of this process a service keeps something.
func HomesOf[T any](s *Service[T]) int {
	s.s.homes.mu.Lock()
	defer s.s.homes.mu.Unlock()
	return len(s.s.homes.all)
}
