package registration

// Lingering returns how many connections have their answer and are not closed yet.
func (s *Server) Lingering() int {
	s.closing.mu.Lock()
	defer s.closing.mu.Unlock()
	return s.closing.total
}
