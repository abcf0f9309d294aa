package contexts

// SharersOf returns how many callers share runs of a service's SingleFlight methods in the local
// context.
func SharersOf[T any](s *Service[T], self *Node) int { return s.s.in(self.self).runs.Callers() }
