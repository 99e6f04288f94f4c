package watch

// burst is a time of changes, from the first to the end of a quiet while.
type burst struct {
	last    state // at the tick before
	stirred bool  // something happened since
	ticks   int
}

// tick takes the state at the end of another 200 ms. settled reports that
// nothing changed in that time, due that it has been a second without that.
func (b *burst) tick(now state) (settled, due bool) {
	settled = !b.stirred && b.last.equal(now)
	b.last, b.stirred = now, false
	b.ticks++
	return settled, !settled && b.ticks%latest == 0
}
