import pytest

pytest.register_assert_rewrite("automl_keras.testing.strategy_checks")
