"""Online detection: features, the endpoint's scores, episodes, one alert an episode."""
