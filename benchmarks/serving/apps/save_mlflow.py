"""Save the common forest as an MLflow model: python -m benchmarks.serving.apps.save_mlflow PICKLE FOLDER."""

import sys

import joblib
import mlflow.sklearn

if __name__ == "__main__":
    pickle, folder = sys.argv[1:]
    mlflow.sklearn.save_model(
        joblib.load(pickle),
        folder,
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["scikit-learn"],  # else it installs a guess to find out
    )
