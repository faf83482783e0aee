//go:build race

package guardtest

const raceEnabled = true
