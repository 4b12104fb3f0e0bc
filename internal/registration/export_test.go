package registration

// Lingering returns how many connections have their answer and are not closed yet.
func (s *Server) Lingering() int {
	s.farewells.mu.Lock()
	defer s.farewells.mu.Unlock()
	return s.farewells.total
}
